using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Chat;

[Collection(ApplicationCollection.Name)]
public sealed class ChatTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("sim-large")]
    [InlineData("sim-anthropic-large")]
    [Trait("Checklist", "PROV-01")]
    public async Task A_whole_answer_comes_from_either_company(string model)
    {
        using var client = application.Developer();
        using var response = await client.ChatAsync("say exactly: Grüße aus Łódź 🦊", model);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var body = await response.JsonAsync();
        Assert.Equal("chat.completion", body.GetProperty("object").GetString());
        Assert.Equal("Grüße aus Łódź 🦊", body.Content());
        var usage = body.GetProperty("usage");
        Assert.Equal(usage.GetProperty("total_tokens").GetInt32(), usage.GetProperty("prompt_tokens").GetInt32() + usage.GetProperty("completion_tokens").GetInt32());
    }

    [Theory]
    [InlineData("sim-large")]
    [InlineData("sim-anthropic-large")]
    public async Task A_stream_says_the_same_and_ends_with_done(string model)
    {
        using var client = application.Developer();
        using var response = await client.PostAsJsonAsync("/v1/chat/completions", Wire.Chat("say exactly: one two three", model, stream: true), Cancelled);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        var events = await response.EventsAsync();
        Assert.Equal("[DONE]", events[^1]);
        var chunks = events.SkipLast(1).Select(e => JsonElement.Parse(e)).ToList();
        Assert.Equal("one two three", string.Concat(chunks.Select(TextOf)));
        Assert.All(chunks, c => Assert.False(c.TryGetProperty("usage", out _), "usage was not asked for"));
        Assert.Single(chunks, c => c.GetProperty("choices")[0].GetProperty("finish_reason").ValueKind == JsonValueKind.String);
    }

    [Fact]
    [Trait("Checklist", "PROV-09")]
    public async Task Headers_tell_request_cost_attempts_and_overhead()
    {
        using var client = application.Developer();
        using var response = await client.ChatAsync("What does this cost?");
        var usage = (await response.JsonAsync()).GetProperty("usage");
        var expected = ((usage.GetProperty("prompt_tokens").GetInt32() * 2.5m) + (usage.GetProperty("completion_tokens").GetInt32() * 10m)) / 1_000_000m;
        Assert.Equal(expected, decimal.Parse(response.Header("x-aiaspire-cost-usd"), CultureInfo.InvariantCulture));
        Assert.True(Guid.TryParse(response.Header("x-request-id"), out _));
        Assert.Equal("sim-openai/sim-large;status=200", response.Header("x-aiaspire-attempts"));
        Assert.True(double.Parse(response.Header("x-aiaspire-overhead-ms"), CultureInfo.InvariantCulture) >= 0);
    }

    [Fact]
    [Trait("Checklist", "COST-02")]
    [Trait("Checklist", "COST-06")]
    [Trait("Checklist", "COST-07")]
    public async Task A_free_user_has_ten_thousand_tokens_a_day_and_then_a_429_that_says_when()
    {
        using var client = application.Client(application.TenantKey("acme"));
        client.DefaultRequestHeaders.Add("X-AiAspire-User", $"free-{Guid.CreateVersion7(TimeProvider.System.GetUtcNow())}");
        using var first = await client.ChatAsync("hello");
        Assert.Equal(HttpStatusCode.OK, first.StatusCode);
        Assert.Equal("10000", first.Header("x-ratelimit-limit-tokens"));
        using var large = await client.ChatAsync(string.Concat(Enumerable.Repeat("word ", 8_000)));
        var error = await large.ErrorAsync(HttpStatusCode.TooManyRequests, "rate_limit_exceeded");
        Assert.Contains("user_tokens_per_day of 10000 tokens", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.True(large.Headers.RetryAfter?.Delta > TimeSpan.Zero);
        Assert.Equal("false", large.Header("x-should-retry"));
        using var small = await client.ChatAsync("still here");
        Assert.Equal(HttpStatusCode.OK, small.StatusCode);
        Assert.True(long.Parse(small.Header("x-ratelimit-remaining-tokens"), CultureInfo.InvariantCulture) < 10_000);
    }

    [Fact]
    [Trait("Checklist", "PROV-02")]
    [Trait("Checklist", "PROV-03")]
    public async Task When_the_primary_fails_another_company_serves_and_both_attempts_are_told()
    {
        using var simulator = application.App.CreateHttpClient("sim-openai");
        await simulator.PutAsJsonAsync("/control/models/sim-large/behaviour", new { errorCount = 1, errorStatus = 500 }, Cancelled);
        using var client = application.Developer();
        using var response = await client.ChatAsync("say exactly: served all the same", "sim-resilient");
        Assert.Equal("served all the same", (await response.JsonAsync()).Content());
        Assert.Equal(
            "sim-openai/sim-large;status=500;error=server_error, sim-anthropic/sim-anthropic-large;status=200", response.Header("x-aiaspire-attempts"));
        using var back = await client.ChatAsync("say exactly: back", "sim-resilient");
        Assert.Equal("sim-openai/sim-large;status=200", back.Header("x-aiaspire-attempts"));
    }

    [Theory]
    [InlineData("cutAfterChunks")]
    [InlineData("resetAfterChunks")]
    [InlineData("malformedChunkAfter")]
    [InlineData("errorEventAfterChunks")]
    public async Task A_stream_that_breaks_ends_with_an_error_and_without_done(string fault)
    {
        using var simulator = application.App.CreateHttpClient("sim-openai");
        await simulator.PutAsJsonAsync("/control/models/sim-large/behaviour", new Dictionary<string, object> { [fault] = 3, ["faultCount"] = 1 }, Cancelled);
        using var client = application.Developer();
        using var response = await client.PostAsJsonAsync(
            "/v1/chat/completions", Wire.Chat("say exactly: a b c d e f g h i j k l m n", stream: true), Cancelled);
        if (response.Header("x-aiaspire-attempts").Contains(','))
        {
            // A reset throws away what the connection still held; when that was everything, another attempt gave the whole answer.
            Assert.Equal("resetAfterChunks", fault);
            Assert.Equal("[DONE]", (await response.EventsAsync())[^1]);
        }
        else
        {
            var events = await response.EventsAsync();
            Assert.DoesNotContain("[DONE]", events);
            Assert.True(JsonElement.Parse(events[^1]).TryGetProperty("error", out var error), events[^1]);
            Assert.NotEmpty(error.GetProperty("message").GetString()!);
        }

        await simulator.DeleteAsync("/control/models/sim-large/behaviour", Cancelled);
    }

    [Fact]
    [Trait("Checklist", "CONV-01")]
    [Trait("Checklist", "CONV-02")]
    public async Task Messages_are_kept_with_time_and_model_version_and_only_new_ones_are_added()
    {
        using var client = application.Developer();
        using var first = await client.ChatAsync("say exactly: first answer");
        var conversation = first.Header("x-aiaspire-conversation");
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = JsonContent.Create(new
            {
                model = "sim-large",
                messages = new object[]
                {
                    new { role = "user", content = "say exactly: first answer" },
                    new { role = "assistant", content = "first answer" },
                    new { role = "user", content = "say exactly: second answer" },
                },
            }),
        };
        request.Headers.Add("x-aiaspire-conversation", conversation);
        using var second = await client.SendAsync(request, Cancelled);
        Assert.Equal(conversation, second.Header("x-aiaspire-conversation"));

        var messages = (await client.GetFromJsonAsync<JsonElement>($"/v1/conversations/{conversation}/messages", Cancelled)).GetProperty("data");
        Assert.Equal(
            ["user", "assistant", "user", "assistant"], messages.EnumerateArray().Select(m => m.GetProperty("role").GetString()));
        Assert.Equal("second answer", messages[3].GetProperty("content").GetProperty("content").GetString());
        Assert.Equal("sim-large", messages[3].GetProperty("model").GetString());
        Assert.Equal(JsonValueKind.Null, messages[2].GetProperty("model").ValueKind);
        Assert.True(messages[3].GetProperty("created_at").GetDateTimeOffset() > TimeProvider.System.GetUtcNow().AddMinutes(-5));
    }

    [Fact]
    public async Task Feedback_is_taken_for_ones_own_answers_only()
    {
        using var developer = application.Developer();
        using var answer = await developer.ChatAsync("hello");
        var rating = new { request_id = answer.Header("x-request-id"), rating = 5, comment = "good" };
        using var created = await developer.PostAsJsonAsync("/v1/feedback", rating, Cancelled);
        Assert.Equal(HttpStatusCode.Created, created.StatusCode);
        using var alice = application.Client(application.Token("acme", "alice"));
        using var others = await alice.PostAsJsonAsync("/v1/feedback", rating, Cancelled);
        await others.ErrorAsync(HttpStatusCode.NotFound, "not_found", "request_id");
        using var wrong = await developer.PostAsJsonAsync("/v1/feedback", rating with { rating = 6 }, Cancelled);
        await wrong.ErrorAsync(HttpStatusCode.BadRequest, "invalid_value", "rating");
    }

    private static string TextOf(JsonElement chunk)
        => chunk.GetProperty("choices")[0].GetProperty("delta").TryGetProperty("content", out var content) ? content.GetString() ?? "" : "";
}
