using System.Diagnostics.Metrics;
using AiAspire.Core.Chat;
using AiAspire.Core.Ledger;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Chat;

/// <summary>Names, units and dimensions as the launch checklist and the GenAI conventions have them.</summary>
public sealed class ChatMetricsTests : IDisposable
{
    private readonly Meters _meters = new();
    private readonly ChatMetrics _metrics;
    private readonly MeterListener _listener = new();
    private readonly List<Seen> _seen = [];

    public ChatMetricsTests()
    {
        _metrics = new ChatMetrics(_meters);
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (ReferenceEquals(instrument.Meter, _meters.Last))
                listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => _seen.Add(new Seen(instrument, value, tags.ToArray())));
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => _seen.Add(new Seen(instrument, value, tags.ToArray())));
        _listener.Start();
    }

    public void Dispose()
    {
        _listener.Dispose();
        _meters.Dispose();
    }

    [Fact]
    [Trait("Checklist", "OBS-01")]
    [Trait("Checklist", "OBS-02")]
    [Trait("Checklist", "OBS-03")]
    [Trait("Checklist", "OBS-04")]
    public void A_call_is_measured_by_model_and_tier()
    {
        var call = SampleCalls.Call(route: SampleCalls.Target("one", input: 2m, output: 8m));
        var attempt = SampleCalls.Attempt(call, call.Route[0], usage: new TokenUsage(1_000, 200, 0, 50, 10));
        attempt.Latency = TimeSpan.FromSeconds(2);
        attempt.FirstToken = TimeSpan.FromMilliseconds(300);

        _metrics.Record(new SettledCall(call, "succeeded", SampleCalls.Now, TimeSpan.FromMilliseconds(2_100)));

        foreach (var (name, unit, value) in new[]
        {
            ("llm.tokens_input", "{token}", 1_200d), ("llm.tokens_output", "{token}", 50), ("llm.latency_ms", "ms", 2_100), ("llm.first_token_ms", "ms", 300), ("llm.cost_usd", "{USD}", 0.0028),
        })
        {
            var seen = Assert.Single(_seen, s => s.Instrument.Name == name);
            Assert.Equal((unit, value), (seen.Instrument.Unit, Math.Round(seen.Value, 9)));
            Assert.IsAssignableFrom<Instrument>(seen.Instrument);
            Assert.StartsWith("Histogram", seen.Instrument.GetType().Name, StringComparison.Ordinal);
            Assert.Equal(("one-model", "pro", "chat", "one"), (seen["model"], seen["tier"], seen["feature"], seen["provider"]));
        }

        Assert.DoesNotContain(_seen, s => s.Instrument.Name == "llm.errors_total");
        Assert.Equal(
            [("input", 1_200d), ("output", 50d)],
            _seen.Where(s => s.Instrument.Name == "gen_ai.client.token.usage").Select(s => (s["gen_ai.token.type"]!, s.Value)));
        var duration = Assert.Single(_seen, s => s.Instrument.Name == "gen_ai.client.operation.duration");
        Assert.Equal(("s", 2d, "chat", "openai", "one-model", null), (duration.Instrument.Unit, duration.Value, duration["gen_ai.operation.name"], duration["gen_ai.provider.name"], duration["gen_ai.request.model"], duration["error.type"]));
    }

    [Fact]
    [Trait("Checklist", "OBS-05")]
    public void Errors_are_counted_by_code_and_a_429_can_be_told()
    {
        var call = SampleCalls.Call(route: [SampleCalls.Target("one"), SampleCalls.Target("two"), SampleCalls.Target("three")]);
        Fail(call, 0, 429, "rate_limited");
        Fail(call, 1, null, "timeout");
        Fail(call, 2, 503, "server_error");

        _metrics.Record(new SettledCall(call, "failed", SampleCalls.Now, TimeSpan.FromSeconds(1)));

        Assert.Equal(
            [("rate_limited", "429", "one"), ("timeout", null, "two"), ("server_error", "503", "three")],
            _seen.Where(s => s.Instrument.Name == "llm.errors_total").Select(s => (s["error.code"]!, s["http.response.status_code"], s["provider"]!)));
        Assert.Equal(["429", "timeout", "503"], _seen.Where(s => s.Instrument.Name == "gen_ai.client.operation.duration").Select(s => s["error.type"]));
    }

    [Fact]
    public void What_a_call_costs_falls_between_the_bounds()
    {
        SampleCalls.Attempt(SampleCalls.Call(), SampleCalls.Target());

        foreach (var (name, typical) in new[] { ("llm.cost_usd", 0.002), ("gen_ai.client.operation.duration", 0.8), ("llm.latency_ms", 800) })
        {
            var bounds = ((Histogram<double>)_meters.Instrument(name)).Advice!.HistogramBucketBoundaries!;
            Assert.InRange(bounds.Count(b => b < typical), 3, bounds.Count - 3);
        }
    }

    private static void Fail(ChatCall call, int target, int? status, string code)
    {
        var attempt = SampleCalls.Attempt(call, call.Route[target], AttemptOutcome.Failed);
        (attempt.Status, attempt.ErrorCode) = (status, code);
    }

    private sealed record Seen(Instrument Instrument, double Value, KeyValuePair<string, object?>[] Tags)
    {
        public string? this[string name] => Tags.FirstOrDefault(t => t.Key == name).Value?.ToString();
    }

    private sealed class Meters : IMeterFactory
    {
        private readonly Dictionary<string, Instrument> _instruments = new(StringComparer.Ordinal);
        private readonly MeterListener _listener = new();

        public Meter? Last { get; private set; }

        public Instrument Instrument(string name) => _instruments[name];

        public Meter Create(MeterOptions options)
        {
            Last = new Meter(options);
            _listener.InstrumentPublished = (instrument, _) =>
            {
                if (ReferenceEquals(instrument.Meter, Last))
                    _instruments[instrument.Name] = instrument;
            };
            _listener.Start();
            return Last;
        }

        public void Dispose()
        {
            _listener.Dispose();
            Last?.Dispose();
        }
    }
}
