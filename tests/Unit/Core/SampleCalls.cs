using System.Text;
using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.CoreTests;

/// <summary>Callers, targets and calls for tests that need some.</summary>
internal static class SampleCalls
{
    public static readonly DateTimeOffset Now = new(2026, 3, 14, 15, 9, 26, TimeSpan.Zero);

    public static FakeTimeProvider Time() => new(Now);

    public static Entitlements Unlimited { get; } = new("pro", ["*"], ["*"], null, null, null, 1024);

    public static Caller Caller(Entitlements? entitlements = null, Guid? tenant = null, Guid? user = null) => new()
    {
        TenantId = tenant ?? Id(),
        TenantSlug = "acme",
        UserId = user ?? Id(),
        Pseudonym = Id(),
        ExternalUserId = "alice",
        Entitlements = entitlements ?? Unlimited,
        Roles = [Roles.User],
    };

    public static Guid Id() => TimeProvider.System.NewId();

    public static PricedTarget Target(
        string name = "one", decimal input = 2.5m, decimal output = 10m, int maxOutput = 4096, ProviderWire wire = ProviderWire.OpenAI, double firstTokenSeconds = 120,
        int? requestsPerMinute = null, int? tokensPerMinute = null, string[]? capabilities = null)
    {
        var provider = new ProviderOptions { Wire = wire, BaseAddress = new Uri($"http://{name}.test/v1"), ApiKey = "sim-key", FirstTokenSeconds = firstTokenSeconds };
        return new PricedTarget(new ModelTarget(name, provider, new ModelOptions { Id = $"{name}-model", MaxOutputTokens = maxOutput, RequestsPerMinute = requestsPerMinute, TokensPerMinute = tokensPerMinute, Capabilities = capabilities }), Price(name, input, output));
    }

    public static ModelPrice Price(
        string provider, decimal input, decimal output, decimal? cached = null, decimal? write = null, string? model = null, params LongContextPrice[] longContext) => new()
        {
            TenantId = TenantScope.PlatformTenantId,
            PriceId = Id(),
            Provider = provider,
            UpstreamModel = model ?? $"{provider}-model",
            EffectiveFrom = Now.AddDays(-1),
            Input = input,
            CachedInput = cached ?? input,
            CacheWrite = write ?? input,
            Output = output,
            Reasoning = output,
            LongContext = longContext,
        };

    public static EmbeddingRequest Embedding(string json) => EmbeddingRequest.Parse(Encoding.UTF8.GetBytes(json));

    public static ModerationRequest Moderation(string json, string? defaultModel = null) => ModerationRequest.Parse(Encoding.UTF8.GetBytes(json), defaultModel);

    public static ChatRequest Request(string json) => ChatRequest.Parse(Encoding.UTF8.GetBytes(json));

    public static ChatCall Call(string? json = null, Caller? caller = null, FakeTimeProvider? time = null, params PricedTarget[] route)
        => Call(json, caller, time, "chat", route);

    public static ChatCall Call(string? json, Caller? caller, FakeTimeProvider? time, string feature, params PricedTarget[] route)
        => CallOf(Request(json ?? """{"model":"one-model","messages":[{"role":"user","content":"Say hello to the world, please."}]}"""), caller, time, feature, route);

    public static ChatCall CallOf(ModelRequest request, Caller? caller, FakeTimeProvider? time, string feature, params PricedTarget[] route)
    {
        time ??= Time();
        return new ChatCall
        {
            RequestId = Id(),
            Caller = caller ?? Caller(),
            Request = request,
            Feature = feature,
            ConversationId = request is ChatRequest ? Id() : null,
            StartedAt = time.GetUtcNow(),
            StartTimestamp = time.GetTimestamp(),
            Route = route,
            OutputCap = request is ChatRequest ? 256 : 0,
            EstimatedInput = 20,
        };
    }

    public static Attempt Attempt(ChatCall call, PricedTarget target, AttemptOutcome outcome = AttemptOutcome.Succeeded, TokenUsage usage = default)
    {
        var attempt = new Attempt
        {
            AttemptId = Id(),
            Number = call.Attempts.Count + 1,
            Target = target,
            OpenedAt = call.StartedAt,
            LeaseUntil = call.StartedAt.AddMinutes(15),
            Outcome = outcome,
            Usage = usage,
        };
        call.Attempts.Add(attempt);
        return attempt;
    }

    public static ChatEvent Chunk(string text) => new(ChatEventKind.Chunk, Encoding.UTF8.GetBytes(
        $$$"""{"id":"c1","choices":[{"index":0,"delta":{"content":{{{JsonSerializer.Serialize(text)}}}},"finish_reason":null}]}"""));

    public static async Task<List<ChatEvent>> CollectAsync(IAsyncEnumerable<ChatEvent> events)
    {
        var all = new List<ChatEvent>();
        await foreach (var item in events.WithCancellation(TestContext.Current.CancellationToken))
            all.Add(item);
        return all;
    }
}
