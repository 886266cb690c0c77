using System.Net;
using System.Net.Http.Headers;
using System.Text;
using AiAspire.Core.Ledger;
using AiAspire.Core.Models;
using AiAspire.Core.Providers;
using AiAspire.Core.Wire;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>Providers of OpenAI's wire behind the real adapter: a host's answer is a function. Calls and openings are written down in their order.</summary>
internal sealed class FakeProviders : HttpMessageHandler, IOpenAttempts
{
    private readonly Dictionary<string, Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage>>> _hosts = new(StringComparer.Ordinal);
    private readonly IHttpClientFactory _clients;

    public FakeProviders(TimeProvider time)
    {
        var services = new ServiceCollection();
        services.AddHttpClient(ProvidersRegistration.HttpClientName).ConfigurePrimaryHttpMessageHandler(() => this).SetHandlerLifetime(Timeout.InfiniteTimeSpan);
        _clients = services.BuildServiceProvider().GetRequiredService<IHttpClientFactory>();
        var sdk = new ChatClientProvider(new ChatClientBinding((target, http, id) => Client!, static _ => null), _clients, time);
        Chat = new ChatProviders(new OpenAiProvider(_clients, time), sdk, sdk);
    }

    public ChatProviders Chat { get; }

    /// <summary>Serves targets of Anthropic's wire.</summary>
    public IChatClient? Client { get; set; }

    public List<string> Log { get; } = [];

    public List<string> Bodies { get; } = [];

    public Exception? OpeningFails { get; set; }

    public FakeProviders Host(string name, Func<HttpResponseMessage> answer) => Host(name, (_, _) => Task.FromResult(answer()));

    public FakeProviders Host(string name, Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage>> answer)
    {
        _hosts[name] = answer;
        return this;
    }

    public Task OpenAsync(ChatCall call, Attempt attempt)
    {
        Log.Add($"open {attempt.Target.Target.Provider}");
        return OpeningFails is null ? Task.CompletedTask : Task.FromException(OpeningFails);
    }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var name = request.RequestUri!.Host.Split('.')[0];
        Log.Add($"call {name}");
        Bodies.Add(await request.Content!.ReadAsStringAsync(cancellationToken));
        return await _hosts[name](request, cancellationToken);
    }

    public static HttpResponseMessage Status(HttpStatusCode status, string body = "", TimeSpan? retryAfter = null)
    {
        var response = new HttpResponseMessage(status) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        if (retryAfter is { } wait)
            response.Headers.RetryAfter = new RetryConditionHeaderValue(wait);
        return response;
    }

    public static HttpResponseMessage Whole(string text, string usage = """{"prompt_tokens":11,"completion_tokens":3,"total_tokens":14}""")
        => Status(HttpStatusCode.OK, $$$"""{"id":"c","model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"{{{text}}}"},"finish_reason":"stop"}],"usage":{{{usage}}}}""");

    public static HttpResponseMessage Stream(params string[] events) => Stream(new MemoryStream(Encoding.UTF8.GetBytes(Sse(events))));

    public static HttpResponseMessage Stream(Stream body) => new(HttpStatusCode.OK) { Content = new StreamContent(body) { Headers = { ContentType = new("text/event-stream") } } };

    public static string Sse(params string[] events) => string.Concat(events.Select(e => $"data: {e}\n\n"));
}

/// <summary>A stream that gives its bytes and then waits until it is cancelled.</summary>
internal sealed class StallingStream(string text) : Stream
{
    private readonly MemoryStream _bytes = new(Encoding.UTF8.GetBytes(text));

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var read = await _bytes.ReadAsync(buffer, cancellationToken);
        if (read == 0)
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
        return read;
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
