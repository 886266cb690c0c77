using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using AiAspire.Core.Caching;
using AiAspire.Core.Chat;
using AiAspire.Core.Data;
using AiAspire.Core.Limits;
using AiAspire.Core.Models;
using AiAspire.Core.Rollouts;
using AiAspire.Core.Routing;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using AiAspire.Unit.CoreTests.Limits;
using AiAspire.Unit.CoreTests.Routing;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.CoreTests.Chat;

/// <summary>All steps together: of two reasons to refuse, the earlier step's is told, and nothing beyond it happens.</summary>
[Collection(LimitServersCollection.Name)]
public sealed class ChatPipelineTests : IDisposable
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(TimeProvider.System.GetUtcNow().Date, TimeSpan.Zero).AddHours(12));
    private readonly LimitServers _servers;
    private readonly FakeProviders _providers;
    private readonly RecordingBooks _books = new();
    private readonly KillSwitches _switches;
    private readonly Caller _caller = SampleCalls.Caller(SampleCalls.Unlimited with { UserTokensPerDay = 1000 });

    public ChatPipelineTests(LimitServers servers)
    {
        _servers = servers;
        _providers = new FakeProviders(_time);
        _switches = new KillSwitches(null!, _time);
        _providers.Host("one", () => FakeProviders.Whole("Hi", """{"prompt_tokens":600,"completion_tokens":380}"""));
    }

    public void Dispose() => _providers.Dispose();

    [Fact]
    public async Task A_call_is_reserved_opened_called_and_settled()
    {
        var call = Call("one-model");

        Assert.Single(await RunAsync(call));

        Assert.Equal(["open one", "call one"], _providers.Log);
        Assert.Equal(["succeeded"], _books.Outcomes);
        Assert.Equal(1000, call.Limit!.Limit);
    }

    [Fact]
    [Trait("Checklist", "ARCH-02")]
    public async Task The_kill_switch_comes_before_the_limit_and_the_provider()
    {
        _switches.Hold([new KillSwitch
        {
            TenantId = TenantScope.PlatformTenantId,
            Scope = "service",
            Engaged = true,
            Reason = "drill",
            Until = _time.GetUtcNow().AddMinutes(3),
            ChangedBy = "op",
            ChangedAt = _time.GetUtcNow(),
        }]);

        var refusal = await RefusedAsync("one-model");

        Assert.Empty(_providers.Log);
        Assert.Equal((503, "service_disabled", TimeSpan.FromMinutes(3), false), (refusal.Status, refusal.Code, refusal.RetryAfter, refusal.ShouldRetry));
        Assert.Contains("drill", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_released_switch_stops_nobody()
    {
        _switches.Hold([new KillSwitch { TenantId = TenantScope.PlatformTenantId, Scope = "service", Engaged = false, ChangedBy = "op", ChangedAt = _time.GetUtcNow() }]);

        Assert.Single(await RunAsync(Call("one-model")));
    }

    [Fact]
    public async Task The_model_comes_before_the_limit()
    {
        await RunAsync(Call("one-model"));

        Assert.Equal(404, (await RefusedAsync("unknown")).Status);
    }

    [Fact]
    public async Task The_limit_comes_before_the_attempt_and_leaves_no_row()
    {
        await RunAsync(Call("one-model"));

        Assert.Equal(429, (await RefusedAsync("one-model")).Status);
        Assert.Equal(["open one", "call one"], _providers.Log);
        Assert.Equal(["succeeded"], _books.Outcomes);
    }

    [Fact]
    public async Task A_provider_that_fails_frees_the_reservation_and_is_settled()
    {
        _providers.Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError));
        for (var i = 0; i < 5; i++)
            Assert.Equal(502, (await RefusedAsync("one-model")).Status);

        Assert.Equal(Enumerable.Repeat("failed", 5), _books.Outcomes);
    }

    [Fact]
    public async Task What_is_sent_upstream_is_what_was_reserved()
    {
        await RunAsync(Call("one-model"));
        _providers.Bodies.Clear();
        var other = SampleCalls.Caller(SampleCalls.Unlimited with { UserTokensPerDay = 200 });

        await RunAsync(SampleCalls.Call(caller: other, time: _time));

        var cap = System.Text.Json.JsonElement.Parse(_providers.Bodies.Single()).GetProperty("max_completion_tokens").GetInt32();
        Assert.InRange(cap, 100, 199);
    }

    [Fact]
    [Trait("Checklist", "OBS-12")]
    [Trait("Checklist", "OBS-13")]
    public async Task Each_step_and_each_call_of_a_provider_is_a_span_within_the_step_above()
    {
        var call = Call("one-model");

        var spans = await TracedAsync(() => RunAsync(call));

        var names = new[] { "chat.settle", "chat.admit", "chat.kill_switch", "chat.cache", "chat.cost_ceiling", "chat.limit", "chat.route", "chat one-model" };
        Assert.Equal(names.Order(StringComparer.Ordinal), spans.Select(s => s.DisplayName).Order(StringComparer.Ordinal));
        for (var i = 1; i < names.Length; i++)
            Assert.Equal(Span(names[i - 1]).SpanId, Span(names[i]).ParentSpanId);
        var attempt = Span("chat one-model");
        Assert.Equal(ActivityKind.Client, attempt.Kind);
        Assert.Equal(
            ("chat", "openai", "one-model", "v", 600L, 380L, call.ConversationId.ToString(), call.RequestId.ToString()),
            (Tag("gen_ai.operation.name"), Tag("gen_ai.provider.name"), Tag("gen_ai.request.model"), Tag("gen_ai.response.model"), Tag("gen_ai.usage.input_tokens"),
                Tag("gen_ai.usage.output_tokens"), Tag("gen_ai.conversation.id"), Tag("aiaspire.request.id")));
        Assert.Equal((double)call.Attempts[0].Cost, Tag("aiaspire.cost_usd"));
        Assert.DoesNotContain(spans.SelectMany(s => s.TagObjects), t => t.Value?.ToString()?.Contains("Say hello", StringComparison.Ordinal) == true);

        Activity Span(string name) => Assert.Single(spans, s => s.DisplayName == name);

        object? Tag(string name) => attempt.GetTagItem(name);
    }

    [Fact]
    [Trait("Checklist", "OBS-13")]
    public async Task A_failure_and_a_reader_who_leaves_are_told_in_their_spans()
    {
        _providers.Host("one", () => FakeProviders.Status(HttpStatusCode.TooManyRequests));
        var limited = await TracedAsync(() => RefusedAsync("one-model"));

        Assert.Equal("429", Assert.Single(limited, s => s.DisplayName == "chat one-model").GetTagItem("error.type"));
        Assert.All(limited.Where(s => s.DisplayName.StartsWith("chat.", StringComparison.Ordinal)), s => Assert.Equal((ActivityStatusCode.Error, "provider_rate_limited"), (s.Status, s.StatusDescription)));

        _providers.Host("one", () => FakeProviders.Stream(
            """{"id":"c","choices":[{"index":0,"delta":{"content":"Hello"}}]}""", """{"id":"c","choices":[{"index":0,"delta":{"content":" there"}}]}""", "[DONE]"));
        var stream = SampleCalls.Call("""{"model":"one-model","stream":true,"messages":[{"role":"user","content":"Say hello"}]}""", _caller, _time);
        var left = await TracedAsync(async () =>
        {
            await foreach (var _ in Pipeline(stream).RunAsync(stream, TestContext.Current.CancellationToken))
                break;
        });

        Assert.Equal(AttemptOutcome.Aborted, stream.Attempts[0].Outcome);
        var attempt = Assert.Single(left, s => s.DisplayName == "chat one-model");
        Assert.Equal(("Aborted", stream.Attempts[0].Usage.Output), (attempt.GetTagItem("error.type"), attempt.GetTagItem("gen_ai.usage.output_tokens")));
        Assert.Equal(8, left.Count);
    }

    /// <summary>The spans of ours that ended within, wherever they were made.</summary>
    private static async Task<List<Activity>> TracedAsync(Func<Task> run)
    {
        var ended = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = static source => source.Name.StartsWith("AiAspire.", StringComparison.Ordinal),
            Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = ended.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        using var root = new Activity("request").Start();
        await run();
        return [.. ended.Where(a => a.TraceId == root.TraceId)];
    }

    private ChatCall Call(string model)
        => SampleCalls.Call($"{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Say hello to the world, please, in as many words as it takes.\"}}]}}", _caller, _time);

    private Task<WireException> RefusedAsync(string model) => Assert.ThrowsAsync<WireException>(() => RunAsync(Call(model)));

    private Task<List<ChatEvent>> RunAsync(ChatCall call) => SampleCalls.CollectAsync(Pipeline(call).RunAsync(call, TestContext.Current.CancellationToken));

    private ChatPipeline Pipeline(ChatCall call)
    {
        var target = SampleCalls.Target("one").Target;
        var catalog = new CatalogOptions
        {
            Providers = { ["one"] = new ProviderOptions { ApiKey = "k", BaseAddress = target.Settings.BaseAddress, Models = [target.Model] } },
        };
        var prices = new PriceBook(null!, _time);
        prices.Hold([SampleCalls.Price("one", 1, 1)]);
        return new ChatPipeline(
            new SettleStep(_books),
            new AdmitStep(new ModelCatalog(Options.Create(catalog)), prices, _providers.Chat, static () => 0, _time),
            new KillSwitchStep(_switches),
            // No feature is cached here, and no call asks for it.
            new CacheStep(null!, null!, null!, Options.Create(new CachingOptions())),
            new CostCeilingStep(),
            _servers.Step(LimitServers.Garnet, _time, call.Caller),
            _providers.Step());
    }
}
