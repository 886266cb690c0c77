using System.Diagnostics;
using System.Diagnostics.Metrics;
using AiAspire.Core.Ledger;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Chat;

/// <summary>The launch checklist's <c>llm.*</c> instruments. Dimensions are bounded: per-user figures are the ledger's.</summary>
public sealed class ChatMetrics
{
    public const string MeterName = "AiAspire.Chat";

    private readonly Histogram<long> _tokensInput;
    private readonly Histogram<long> _tokensOutput;
    private readonly Histogram<double> _latency;
    private readonly Histogram<double> _firstToken;
    private readonly Histogram<double> _cost;
    private readonly Counter<long> _errors;
    private readonly Histogram<long> _tokenUsage;
    private readonly Histogram<double> _duration;

    // Bounds that the values fall between: the default ones are milliseconds of web requests.
    private static readonly InstrumentAdvice<long> TokenBounds = new() { HistogramBucketBoundaries = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864] };
    private static readonly InstrumentAdvice<double> MillisecondBounds = new() { HistogramBucketBoundaries = [.. UsageLatency.BoundsMs] };
    private static readonly InstrumentAdvice<double> DollarBounds = new() { HistogramBucketBoundaries = [0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10] };
    private static readonly InstrumentAdvice<double> SecondBounds = new() { HistogramBucketBoundaries = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92] };

    public ChatMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(MeterName);
        _tokensInput = meter.CreateHistogram("llm.tokens_input", "{token}", "Input tokens of a call, cached ones included.", tags: null, TokenBounds);
        _tokensOutput = meter.CreateHistogram("llm.tokens_output", "{token}", "Output tokens of a call.", tags: null, TokenBounds);
        _latency = meter.CreateHistogram("llm.latency_ms", "ms", "From the request to its settlement.", tags: null, MillisecondBounds);
        _firstToken = meter.CreateHistogram("llm.first_token_ms", "ms", "From the provider call to its first content.", tags: null, MillisecondBounds);
        _cost = meter.CreateHistogram("llm.cost_usd", "{USD}", "What the call was charged.", tags: null, DollarBounds);
        _tokenUsage = meter.CreateHistogram("gen_ai.client.token.usage", "{token}", "Tokens of an attempt, by type.", tags: null, TokenBounds);
        _duration = meter.CreateHistogram("gen_ai.client.operation.duration", "s", "One attempt.", tags: null, SecondBounds);
        _errors = meter.CreateCounter<long>("llm.errors_total", "{error}", "Attempts that did not succeed, by error code.");
    }

    internal void Record(SettledCall settled)
    {
        var call = settled.Call;
        foreach (var attempt in call.Attempts)
        {
            RecordConventions(call, attempt);
            if (attempt.ErrorCode is null)
                continue;
            _errors.Add(1, new TagList
            {
                { "error.code", attempt.ErrorCode },
                { "http.response.status_code", attempt.Status },
                { "provider", attempt.Target.Target.Provider },
                { "model", attempt.Target.Target.Model.Id },
            });
        }

        // What the cache answers is no call of a model; its own meter counts it.
        if (call.Attempts.Count == 0)
            return;
        var last = call.Attempts[^1];
        var tags = new TagList
        {
            { "model", last.Target.Target.Model.Id },
            { "provider", last.Target.Target.Provider },
            { "tier", call.Caller.Entitlements.Tier },
            { "feature", call.Feature },
            { "outcome", settled.Outcome },
        };
        _latency.Record(settled.Latency.TotalMilliseconds, tags);
        if (last.FirstToken is { } first)
            _firstToken.Record(first.TotalMilliseconds, tags);
        _tokensInput.Record(last.Usage.TotalInput, tags);
        _tokensOutput.Record(last.Usage.Output, tags);
        _cost.Record((double)settled.ChargedCost, tags);
    }

    /// <summary>The same in the words of the OpenTelemetry GenAI conventions (semconv 1.41), for who watches several systems by them.</summary>
    private void RecordConventions(ChatCall call, Attempt attempt)
    {
        var target = attempt.Target.Target;
        var tags = new TagList
        {
            { "gen_ai.operation.name", AttemptTracing.Operation(call.Request.Kind) },
            { "gen_ai.provider.name", AttemptTracing.Provider(target) },
            { "gen_ai.request.model", target.UpstreamModel },
            { "server.address", target.Settings.BaseAddress!.Host },
        };
        if (attempt.Usage.Total > 0)
        {
            var (input, output) = (tags, tags);
            input.Add("gen_ai.token.type", "input");
            output.Add("gen_ai.token.type", "output");
            _tokenUsage.Record(attempt.Usage.TotalInput, input);
            _tokenUsage.Record(attempt.Usage.Output, output);
        }

        if (AttemptTracing.Error(attempt) is { } error)
            tags.Add("error.type", error);
        _duration.Record(attempt.Latency.TotalSeconds, tags);
    }
}
