using AiAspire.Core.Ledger;

namespace AiAspire.Unit.CoreTests.Ledger;

[Trait("Checklist", "OBS-18")]
public sealed class UsageLatencyTests
{
    [Fact]
    public void Quantiles_are_read_within_their_class()
    {
        // 100 requests: half between 100 and 250 ms, 49 between 500 and 1,000, one beyond a minute.
        long[] counts = [0, 0, 50, 0, 49, 0, 0, 0, 0, 0, 1];
        Assert.Equal(250, UsageLatency.Quantile(counts, 0.5)!.Value, 3);
        Assert.Equal(500 + (500 * 45 / 49.0), UsageLatency.Quantile(counts, 0.95)!.Value, 3);
        Assert.Equal(1_000, UsageLatency.Quantile(counts, 0.99)!.Value, 3);
        Assert.Equal(60_000, UsageLatency.Quantile(counts, 1)!.Value, 3);
        Assert.Null(UsageLatency.Quantile(new long[11], 0.5));
    }
}
