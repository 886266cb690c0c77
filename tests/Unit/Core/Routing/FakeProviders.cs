using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using AiAspire.Core.Ledger;
using AiAspire.Core.Models;
using AiAspire.Core.Providers;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>Providers of OpenAI's wire behind the real adapter: a host's answer is a function. Calls and openings are written down in their order.</summary>
internal sealed class FakeProviders : HttpMessageHandler, IOpenAttempts
{
    private readonly Dictionary<string, Func<HttpRequestMessage, CancellationToken, Task<HttpResponseMessage>>> _hosts = new(StringComparer.Ordinal);
    private readonly TimeProvider _time;

    public FakeProviders(TimeProvider time)
    {
        var http = new ProviderHttp(this);
        var sdk = new ChatClientProvider(
            new ChatClientBinding((target, key, client, id) => Client ?? SdkChatClients.Anthropic(target, key, client, id), SdkChatClients.FindUnsupportedByAnthropic), http, time);
        Chat = new ChatProviders(new OpenAiProvider(http, time), sdk, sdk);
        _time = time;
    }

    /// <summary>Empty: attempts are made at the price that their call was admitted at.</summary>
    public PriceBook Prices => field ??= new PriceBook(null!, _time);

    /// <summary>The next draws; 0.5 when there are none left.</summary>
    public Queue<double> Draws { get; } = new();

    /// <summary>The parts of routing as the last <see cref="Step"/> or <see cref="Picker"/> made them.</summary>
    public ProviderKeys Keys { get; private set; } = null!;

    public TargetHealths Healths { get; private set; } = null!;

    public RouteStep Step(RoutingOptions? options = null, IConnectionMultiplexer? redis = null, params PricedTarget[] targets)
        => new(Chat, this, new TokenCounter(), Picker(options, redis, targets), Prices, _time, NullLogger<RouteStep>.Instance);

    /// <param name="options">Without them nothing is retried.</param>
    /// <param name="redis">Asked only for targets with limits.</param>
    /// <param name="targets">Providers to know besides <c>one</c>, <c>two</c> and <c>three</c> of <see cref="SampleCalls.Target"/>.</param>
    public TargetPicker Picker(RoutingOptions? options = null, IConnectionMultiplexer? redis = null, params PricedTarget[] targets)
    {
        var catalog = new CatalogOptions();
        foreach (var target in targets.Length > 0 ? targets : [SampleCalls.Target("one"), SampleCalls.Target("two"), SampleCalls.Target("three")])
            catalog.Providers[target.Target.Provider] = target.Target.Settings;
        var routing = Options.Create(options ?? new RoutingOptions { MaxRetries = 0 });
        Keys = new ProviderKeys(new ModelCatalog(Options.Create(catalog)), routing, _time, NullLogger<ProviderKeys>.Instance);
        Healths = new TargetHealths(Keys, routing, _time);
        var limits = new ProviderLimits(redis!, routing, _time, NullLogger<ProviderLimits>.Instance);
        var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var metrics = new RoutingMetrics(services.GetRequiredService<IMeterFactory>(), services);
        return new TargetPicker(Healths, limits, metrics, new ProviderBook(null!, _time, NullLogger<ProviderBook>.Instance), routing, () => Draws.TryDequeue(out var draw) ? draw : 0.5, _time);
    }

    public ChatProviders Chat { get; }

    /// <summary>Serves targets of Anthropic's wire; null: the company's SDK does, and asks the hosts.</summary>
    public IChatClient? Client { get; set; }

    public List<string> Log { get; } = [];

    public List<string> Bodies { get; } = [];

    public List<string?> SentKeys { get; } = [];

    public Exception? OpeningFails { get; set; }

    public FakeProviders Host(string name, Func<HttpResponseMessage> answer) => Host(name, (_, _) => Task.FromResult(answer()));

    /// <summary>Answers one after the other; the last stays.</summary>
    public FakeProviders HostInTurn(string name, params Func<HttpResponseMessage>[] answers)
    {
        var next = 0;
        return Host(name, () => answers[Math.Min(next++, answers.Length - 1)]());
    }

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
        SentKeys.Add(request.Headers.Authorization?.Parameter);
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
    private readonly TaskCompletionSource _stalled = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Done when all that comes has come, and somebody waits for more.</summary>
    public Task Stalled => _stalled.Task;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var read = await _bytes.ReadAsync(buffer, cancellationToken);
        if (read == 0)
        {
            _stalled.TrySetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
        }

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
