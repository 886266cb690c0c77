using System.Diagnostics;
using System.Diagnostics.Metrics;
using AiAspire.Core.Ledger;

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

    public ChatMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(MeterName);
        _tokensInput = meter.CreateHistogram<long>("llm.tokens_input", "{token}", "Input tokens of a call, cached ones included.");
        _tokensOutput = meter.CreateHistogram<long>("llm.tokens_output", "{token}", "Output tokens of a call.");
        _latency = meter.CreateHistogram<double>("llm.latency_ms", "ms", "From the request to its settlement.");
        _firstToken = meter.CreateHistogram<double>("llm.first_token_ms", "ms", "From the provider call to its first content.");
        _cost = meter.CreateHistogram<double>("llm.cost_usd", "{USD}", "What the call was charged.");
        _errors = meter.CreateCounter<long>("llm.errors_total", "{error}", "Attempts that did not succeed, by error code.");
    }

    internal void Record(SettledCall settled)
    {
        var call = settled.Call;
        foreach (var attempt in call.Attempts)
        {
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
}
