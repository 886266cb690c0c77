using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Simulator;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace AiAspire.Unit.Simulation;

/// <summary>A company on a free loopback port, and a client of it.</summary>
internal sealed class SimulatedCompany : IAsyncDisposable
{
    public const string Key = "sk-test-0123456789";

    private readonly WebApplication _app;

    private SimulatedCompany(WebApplication app, HttpClient client)
    {
        _app = app;
        Client = client;
    }

    public HttpClient Client { get; }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static Task<SimulatedCompany> OpenAiAsync(params string[] settings) => StartAsync("openai", null, settings);

    public static Task<SimulatedCompany> AnthropicAsync(params string[] settings) => StartAsync("anthropic", null, settings);

    public static async Task<SimulatedCompany> StartAsync(string company, TimeProvider? time, params string[] settings)
    {
        string[] args = ["--urls=http://127.0.0.1:0", $"--Simulator:Company={company}", "--Logging:LogLevel:Default=Warning", .. settings];
        var app = SimulatorApp.Build(args, builder =>
        {
            if (time is not null) builder.Services.Replace(ServiceDescriptor.Singleton(time));
        });
        await app.StartAsync(Cancellation);
        var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        // A test talks to one server of its own; there is no pool to share and no policy to add. A stream that is left is
        // closed at once, not read to its end.
#pragma warning disable RS0030
        var client = new HttpClient(new SocketsHttpHandler { ResponseDrainTimeout = TimeSpan.Zero }) { BaseAddress = new Uri(address), Timeout = TimeSpan.FromSeconds(30) };
#pragma warning restore RS0030
        client.DefaultRequestHeaders.Add(company == "openai" ? "Authorization" : "x-api-key", company == "openai" ? $"Bearer {Key}" : Key);
        if (company == "anthropic") client.DefaultRequestHeaders.Add("anthropic-version", "2023-06-01");
        return new SimulatedCompany(app, client);
    }

    /// <summary>Sends and reads only the headers: the body may be a stream or a fault.</summary>
    public Task<HttpResponseMessage> SendAsync(string path, object body, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = body as HttpContent ?? JsonContent.Create(body) };
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        return Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancellation);
    }

    public async Task<JsonElement> PostAsync(string path, object body, int expectedStatus = 200, params (string Name, string Value)[] headers)
    {
        using var response = await SendAsync(path, body, headers);
        var text = await response.Content.ReadAsStringAsync(Cancellation);
        Assert.True((int)response.StatusCode == expectedStatus, $"{(int)response.StatusCode}: {text}");
        return JsonSerializer.Deserialize<JsonElement>(text);
    }

    public async Task<List<ServerSentEvent>> StreamAsync(string path, object body)
    {
        using var response = await SendAsync(path, body);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        return ServerSentEvent.Parse(await response.Content.ReadAsStringAsync(Cancellation));
    }

    public async Task<JsonElement> GetAsync(string path)
    {
        using var response = await Client.GetAsync(path, Cancellation);
        response.EnsureSuccessStatusCode();
        return await response.Content.ReadFromJsonAsync<JsonElement>(Cancellation);
    }

    public async Task BehaveAsync(object behaviour, string? model = null)
    {
        using var response = await Client.PutAsJsonAsync(model is null ? "/control/behaviour" : $"/control/models/{model}/behaviour", behaviour, Cancellation);
        response.EnsureSuccessStatusCode();
    }

    /// <summary>The bill's lines once there are as many as expected: a line of an aborted request comes after the abort.</summary>
    public async Task<JsonElement[]> BillAsync(int expected, string query = "")
    {
        while (true)
        {
            var bill = await GetAsync($"/control/bill?{query}");
            if (bill.GetProperty("matched").GetInt32() >= expected) return [.. bill.GetProperty("lines").EnumerateArray()];
            await Task.Delay(10, Cancellation);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
    }
}

/// <summary>Shared by tests that only ask: they set no behaviour and find their bill lines by a request id of their own.</summary>
public sealed class SharedCompanies : IAsyncLifetime
{
    internal SimulatedCompany OpenAi { get; private set; } = null!;

    internal SimulatedCompany Anthropic { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        OpenAi = await SimulatedCompany.OpenAiAsync();
        Anthropic = await SimulatedCompany.AnthropicAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await OpenAi.DisposeAsync();
        await Anthropic.DisposeAsync();
    }
}

internal sealed record ServerSentEvent(string? Name, string Data)
{
    public JsonElement Json => JsonSerializer.Deserialize<JsonElement>(Data);

    public static List<ServerSentEvent> Parse(string text)
    {
        var events = new List<ServerSentEvent>();
        foreach (var block in text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            var lines = block.Split('\n');
            events.Add(new ServerSentEvent(
                Array.Find(lines, l => l.StartsWith("event: ", StringComparison.Ordinal))?[7..],
                string.Concat(lines.Where(l => l.StartsWith("data: ", StringComparison.Ordinal)).Select(l => l[6..]))));
        }

        return events;
    }
}

/// <summary>Request bodies of both wires, and short ways into their responses.</summary>
internal static class Chat
{
    public const string Path = "/v1/chat/completions";
    public const string MessagesPath = "/v1/messages";

    public static Dictionary<string, object?> Request(string text, params (string Name, object? Value)[] fields)
        => With(new() { ["model"] = "sim-large", ["messages"] = new[] { new { role = "user", content = text } } }, fields);

    public static Dictionary<string, object?> Message(string text, params (string Name, object? Value)[] fields)
        => With(new() { ["model"] = "sim-anthropic-large", ["max_tokens"] = 1000, ["messages"] = new[] { new { role = "user", content = text } } }, fields);

    public static object Tool(string name) => new { type = "function", function = new { name, parameters = Parameters } };

    public static object AnthropicTool(string name) => new { name, input_schema = Parameters };

    public static string? Content(this JsonElement completion) => completion.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString();

    public static string? FinishReason(this JsonElement completion) => completion.GetProperty("choices")[0].GetProperty("finish_reason").GetString();

    public static int Usage(this JsonElement response, string name) => response.GetProperty("usage").GetProperty(name).GetInt32();

    /// <summary>Content of all chunks of one choice.</summary>
    public static string StreamedText(this IEnumerable<ServerSentEvent> events, int choice = 0)
        => string.Concat(events.Where(e => e.Data.StartsWith('{')).SelectMany(e => e.Json.GetProperty("choices").EnumerateArray())
            .Where(c => c.GetProperty("index").GetInt32() == choice)
            .Select(c => c.GetProperty("delta").TryGetProperty("content", out var content) ? content.GetString() : ""));

    public static int Tokens(this JsonElement billLine, string name) => billLine.GetProperty("tokens").GetProperty(name).GetInt32();

    private static readonly object Parameters = new
    {
        type = "object",
        properties = new { city = new { type = "string" }, days = new { type = "integer", minimum = 2 } },
        required = new[] { "city", "days" },
        additionalProperties = false,
    };

    private static Dictionary<string, object?> With(Dictionary<string, object?> body, (string Name, object? Value)[] fields)
    {
        foreach (var (name, value) in fields) body[name] = value;
        return body;
    }
}
