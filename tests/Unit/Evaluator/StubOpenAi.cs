using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.Unit.Evaluator;

/// <summary>A real HTTP server on a free port that answers chat completions as a test says.</summary>
internal sealed class StubOpenAi : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ServiceProvider _clients = new ServiceCollection().AddHttpClient().BuildServiceProvider();

    private StubOpenAi(WebApplication app) => _app = app;

    public ConcurrentQueue<(IHeaderDictionary Headers, JsonObject Body)> Received { get; } = new();

    public string Url => _app.Urls.First();

    /// <summary>What the answer is; the second argument counts calls from 1.</summary>
    public required Func<JsonObject, int, StubAnswer> Answer { get; set; }

    public static async Task<StubOpenAi> StartAsync(Func<JsonObject, int, StubAnswer> answer)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        var stub = new StubOpenAi(builder.Build()) { Answer = answer };
        stub._app.Run(stub.HandleAsync);
        await stub._app.StartAsync(TestContext.Current.CancellationToken);
        return stub;
    }

    public HttpClient CreateClient() => _clients.GetRequiredService<IHttpClientFactory>().CreateClient();

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        await _clients.DisposeAsync();
    }

    private async Task HandleAsync(HttpContext context)
    {
        if (context.Request.Path == "/v1/models")
        {
            await context.Response.WriteAsync("""{"object":"list","data":[]}""", context.RequestAborted);
            return;
        }

        var body = (JsonObject)(await JsonNode.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted))!;
        Received.Enqueue((new HeaderDictionary(context.Request.Headers.ToDictionary()), body));
        var answer = Answer(body, Received.Count);
        context.Response.StatusCode = answer.Status;
        foreach (var (name, value) in answer.Headers)
            context.Response.Headers[name] = value;
        await context.Response.WriteAsync(answer.Body, context.RequestAborted);
    }
}

internal sealed record StubAnswer(int Status, string Body)
{
    public Dictionary<string, string> Headers { get; init; } = [];

    public static StubAnswer Says(string text, decimal? cost = null) => new(200, new JsonObject
    {
        ["id"] = "chatcmpl-1",
        ["model"] = "stub-2026-01-01",
        ["choices"] = new JsonArray(new JsonObject
        {
            ["index"] = 0,
            ["finish_reason"] = "stop",
            ["message"] = new JsonObject { ["role"] = "assistant", ["content"] = text },
        }),
        ["usage"] = new JsonObject { ["prompt_tokens"] = 11, ["completion_tokens"] = 7 },
    }.ToJsonString())
    {
        Headers = cost is { } usd ? new() { ["x-aiaspire-cost-usd"] = usd.ToString(System.Globalization.CultureInfo.InvariantCulture) } : [],
    };

    public static StubAnswer Fails(int status, string code, string? retryAfter = null) =>
        new(status, $$$"""{"error":{"message":"it failed","type":"x","code":"{{{code}}}"}}""")
        {
            Headers = retryAfter is null ? [] : new() { ["Retry-After"] = retryAfter },
        };
}
