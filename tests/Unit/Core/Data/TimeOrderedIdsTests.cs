using AiAspire.Core.Data;
using CsCheck;

namespace AiAspire.Unit.CoreTests.Data;

public sealed class TimeOrderedIdsTests
{
    [Fact]
    public void The_time_comes_back_to_the_millisecond()
        => Gen.Long[0, 4_102_444_800_000].Sample(milliseconds =>
        {
            var time = DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);

            Assert.Equal(time, TimeOrderedIds.TimeOf(Guid.CreateVersion7(time.AddTicks(9_999))));
        });

    [Fact]
    public void Later_ids_sort_after_earlier_ones_as_the_database_sorts()
    {
        var time = SampleCalls.Time();
        var ids = new List<string>();
        for (var i = 0; i < 1000; i++)
        {
            ids.Add(time.NewId().ToString());
            time.Advance(TimeSpan.FromMilliseconds(1));
        }

        Assert.Equal(ids.Order(StringComparer.Ordinal), ids);
        Assert.Equal(SampleCalls.Now, TimeOrderedIds.TimeOf(Guid.Parse(ids[0])));
    }

    [Fact]
    public void Ids_of_one_moment_differ()
    {
        var time = SampleCalls.Time();

        Assert.Equal(10_000, Enumerable.Range(0, 10_000).Select(_ => time.NewId()).Distinct().Count());
    }

    [Theory]
    [InlineData("RequestId", "request_id")]
    [InlineData("TokensPerDay", "tokens_per_day")]
    [InlineData("Id", "id")]
    [InlineData("LatencyMs", "latency_ms")]
    public void Columns_are_named_as_postgres_does(string property, string column) => Assert.Equal(column, AiAspireDb.SnakeCase(property));

    [Fact]
    public void A_session_without_a_tenant_is_refused()
        => Assert.Throws<InvalidOperationException>(() => new TenantScope(Guid.Empty, null).TenantSetting);
}
