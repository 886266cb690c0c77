using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.Simulation;

public sealed class LimitTests
{
    [Fact]
    public async Task Requests_per_minute_hold_per_key_and_refill()
    {
        var time = new FakeTimeProvider();
        await using var company = await SimulatedCompany.StartAsync("openai", time);
        await company.BehaveAsync(new { requestsPerMinute = 2 });
        using var first = await company.SendAsync(Chat.Path, Chat.Request("hello"));
        Assert.Equal("2", first.Headers.GetValues("x-ratelimit-limit-requests").Single());
        Assert.Equal("1", first.Headers.GetValues("x-ratelimit-remaining-requests").Single());
        Assert.Equal("30s", first.Headers.GetValues("x-ratelimit-reset-requests").Single());
        await company.PostAsync(Chat.Path, Chat.Request("hello"));

        using var third = await company.SendAsync(Chat.Path, Chat.Request("hello"));
        Assert.Equal(429, (int)third.StatusCode);
        Assert.Equal("30", third.Headers.GetValues("Retry-After").Single());
        await company.PostAsync(Chat.Path, Chat.Request("hello"), 200, ("Authorization", "Bearer sk-somebody-else"));
        time.Advance(TimeSpan.FromSeconds(30));
        await company.PostAsync(Chat.Path, Chat.Request("hello"));
        await company.PostAsync(Chat.Path, Chat.Request("hello"), 429);
        var refused = (await company.BillAsync(6)).Where(l => l.GetProperty("httpStatus").GetInt32() == 429).ToArray();
        Assert.Equal(2, refused.Length);
        Assert.All(refused, l => Assert.Equal("rate_limit", l.GetProperty("fault").GetString()));
    }

    [Fact]
    public async Task Tokens_per_minute_count_prompt_and_answer()
    {
        var time = new FakeTimeProvider();
        await using var company = await SimulatedCompany.StartAsync("openai", time);
        var cost = (await company.PostAsync(Chat.Path, Chat.Request("hello"))).Usage("total_tokens");
        await company.BehaveAsync(new { tokensPerMinute = 2 * cost });
        await company.PostAsync(Chat.Path, Chat.Request("hello"));
        using var second = await company.SendAsync(Chat.Path, Chat.Request("hello"));
        Assert.Equal(200, (int)second.StatusCode);
        Assert.True(second.Headers.Contains("x-ratelimit-remaining-tokens"));
        var error = await company.PostAsync(Chat.Path, Chat.Request("hello"), 429);
        Assert.Equal("tokens", error.GetProperty("error").GetProperty("type").GetString());
        time.Advance(TimeSpan.FromMinutes(1));
        await company.PostAsync(Chat.Path, Chat.Request("hello"));
        var large = await company.PostAsync(Chat.Path, Chat.Request(string.Concat(Enumerable.Repeat("word ", 500))), 429);
        Assert.Contains("too large", large.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_other_company_tells_its_limits_in_its_own_headers()
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero));
        await using var company = await SimulatedCompany.StartAsync("anthropic", time);
        await company.BehaveAsync(new { requestsPerMinute = 1 });
        using var first = await company.SendAsync(Chat.MessagesPath, Chat.Message("hello"));
        Assert.Equal("0", first.Headers.GetValues("anthropic-ratelimit-requests-remaining").Single());
        Assert.Equal("2030-01-01T00:01:00Z", first.Headers.GetValues("anthropic-ratelimit-requests-reset").Single());
        var error = await company.PostAsync(Chat.MessagesPath, Chat.Message("hello"), 429);
        Assert.Equal("rate_limit_error", error.GetProperty("error").GetProperty("type").GetString());
    }
}
