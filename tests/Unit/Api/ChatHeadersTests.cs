using AiAspire.Api.Chat;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using AiAspire.Unit.CoreTests;
using Microsoft.AspNetCore.Http;

namespace AiAspire.Unit.ApiTests;

public sealed class ChatHeadersTests
{
    [Theory]
    [InlineData(-1000, "0ms")]
    [InlineData(0, "0ms")]
    [InlineData(0.2, "1ms")]
    [InlineData(120, "120ms")]
    [InlineData(999, "999ms")]
    [InlineData(999.5, "1s")]
    [InlineData(1000, "1s")]
    [InlineData(1500, "1.5s")]
    [InlineData(59_999.2, "1m0s")]
    [InlineData(60_000, "1m0s")]
    [InlineData(360_000, "6m0s")]
    [InlineData(3_600_000, "1h0m0s")]
    [InlineData(86_399_001, "23h59m59.001s")]
    [InlineData(90_061_000, "25h1m1s")]
    public void A_duration_is_written_as_openai_writes_it(double milliseconds, string expected)
        => Assert.Equal(expected, ChatHeaders.Duration(TimeSpan.FromTicks((long)(milliseconds * TimeSpan.TicksPerMillisecond))));

    [Fact]
    [Trait("Checklist", "PROV-09")]
    public void A_settled_call_tells_cost_attempts_and_overhead()
    {
        var time = SampleCalls.Time();
        var call = SampleCalls.Call(time: time);
        var failed = SampleCalls.Attempt(call, SampleCalls.Target("one"), AttemptOutcome.Failed);
        (failed.Status, failed.ErrorCode, failed.Latency) = (429, "rate_limited", TimeSpan.FromMilliseconds(30));
        var served = SampleCalls.Attempt(call, SampleCalls.Target("two"), AttemptOutcome.Succeeded, new TokenUsage(1, 0, 0, 0, 0));
        (served.Status, served.Latency) = (200, TimeSpan.FromMilliseconds(60));
        call.ChargedCost = 0.0000025m;
        call.Limit = new LimitState("user_tokens_per_day", 1000, 12, TimeSpan.FromMinutes(6));
        time.Advance(TimeSpan.FromMilliseconds(100));

        var headers = Write(call, time);

        Assert.Equal("0.0000025", headers["x-aiaspire-cost-usd"]);
        Assert.Equal("one/one-model;status=429;error=rate_limited, two/two-model;status=200", headers["x-aiaspire-attempts"]);
        Assert.Equal("two-model", headers["x-aiaspire-model"]);
        Assert.Equal("10", headers["x-aiaspire-overhead-ms"]);
        Assert.Equal(("1000", "12", "6m0s"), (headers["x-ratelimit-limit-tokens"], headers["x-ratelimit-remaining-tokens"], headers["x-ratelimit-reset-tokens"]));
        Assert.Equal(call.ConversationId.ToString(), headers["x-aiaspire-conversation"]);
    }

    [Fact]
    public void A_call_that_no_provider_saw_tells_no_cost()
    {
        var time = SampleCalls.Time();
        var headers = Write(SampleCalls.Call(time: time), time);

        Assert.Equal(["x-aiaspire-conversation"], headers.Keys);
    }

    private static Dictionary<string, string> Write(ChatCall call, TimeProvider time)
    {
        var http = new DefaultHttpContext();
        ChatHeaders.Write(http.Response, call, time);
        return http.Response.Headers.ToDictionary(h => h.Key, h => h.Value.ToString(), StringComparer.OrdinalIgnoreCase);
    }
}
