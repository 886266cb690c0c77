using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using AiAspire.Integration.Jobs;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Idempotency;

[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "ARCH-04")]
public sealed class IdempotencyTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_repeat_gets_the_same_answer_and_costs_nothing(bool stream)
    {
        using var client = application.Developer();
        var key = NewKey();
        using var first = await SendAsync(client, key, Wire.Chat("what is idempotent?", stream: stream));
        using var second = await SendAsync(client, key, Wire.Chat("what is idempotent?", stream: stream));
        Assert.Equal("true", second.Header("Idempotent-Replayed"));
        Assert.Equal(first.Header("x-aiaspire-conversation"), second.Header("x-aiaspire-conversation"));
        Assert.Equal(first.Content.Headers.ContentType, second.Content.Headers.ContentType);
        Assert.Equal(await first.Content.ReadAsStringAsync(Cancelled), await second.Content.ReadAsStringAsync(Cancelled));
        Assert.Equal(1, await ChargesAsync(first));
    }

    [Fact]
    public async Task Another_payload_is_422_and_another_user_or_a_quoted_key_is_as_expected()
    {
        using var client = application.Developer();
        var key = NewKey();
        using var first = await SendAsync(client, key, Wire.Chat("one"));
        using var other = await SendAsync(client, key, Wire.Chat("two"));
        await other.ErrorAsync(HttpStatusCode.UnprocessableEntity, "idempotency_key_reused", "Idempotency-Key");
        Assert.Equal("false", other.Header("x-should-retry"));
        using var quoted = await SendAsync(client, $"\"{key}\"", Wire.Chat("one"));
        Assert.Equal("true", quoted.Header("Idempotent-Replayed"));
        using var alice = application.Client(application.Token("acme", "alice"));
        using var hers = await SendAsync(alice, key, Wire.Chat("one"));
        Assert.False(hers.Headers.Contains("Idempotent-Replayed"));
    }

    [Fact]
    public async Task A_refused_request_leaves_the_key_free()
    {
        using var client = application.Developer();
        var key = NewKey();
        using var refused = await SendAsync(client, key, Wire.Chat("x", "no-such-model"));
        await refused.ErrorAsync(HttpStatusCode.NotFound, "model_not_found");
        using var good = await SendAsync(client, key, Wire.Chat("x"));
        Assert.Equal(HttpStatusCode.OK, good.StatusCode);
        using var bad = await SendAsync(client, new string('k', 256), Wire.Chat("x"));
        await bad.ErrorAsync(HttpStatusCode.BadRequest, "invalid_value", "Idempotency-Key");
    }

    [Fact]
    public async Task Of_a_hundred_equal_requests_at_once_one_has_an_effect()
    {
        using var client = application.Developer();
        var (key, text) = (NewKey(), $"parallel {NewKey()}");
        var responses = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => SendAsync(client, key, Wire.Chat(text))));
        try
        {
            Assert.All(responses, r => Assert.True(
                r.StatusCode is HttpStatusCode.OK or HttpStatusCode.Conflict,
                $"{r.StatusCode}\n" + string.Join('\n', application.App.GetResourceLogs("api").TakeLast(60))));
            Assert.Single(responses, r => r.StatusCode == HttpStatusCode.OK && !r.Headers.Contains("Idempotent-Replayed"));
            Assert.All(responses.Where(r => r.StatusCode == HttpStatusCode.Conflict), r => Assert.True(r.Headers.RetryAfter?.Delta > TimeSpan.Zero));
            Assert.Equal(1, await ReceivedAsync(text));
        }
        finally
        {
            foreach (var response in responses)
                response.Dispose();
        }
    }

    [Fact]
    public async Task A_repeat_gets_its_job_though_it_would_be_refused_by_now_and_a_refused_job_leaves_the_key_free()
    {
        using var client = application.Developer();
        var (key, deadline) = (NewKey(), TimeProvider.System.GetUtcNow().AddSeconds(3));
        var body = new { request = Wire.Chat("say exactly: in time"), deadline };
        var first = await JobAsync(client, key, body, replayed: false);
        await Wait.UntilAsync("the deadline to pass", () => Task.FromResult(TimeProvider.System.GetUtcNow() > deadline), application, "api");
        Assert.Equal(first, await JobAsync(client, key, body, replayed: true));

        var other = NewKey();
        using (var late = new HttpRequestMessage(HttpMethod.Post, "/v1/jobs") { Content = JsonContent.Create(body) })
        {
            late.Headers.TryAddWithoutValidation("Idempotency-Key", other);
            using var refused = await client.SendAsync(late, Cancelled);
            await refused.ErrorAsync(HttpStatusCode.BadRequest, "invalid_value", "deadline");
        }

        await JobAsync(client, other, new { request = Wire.Chat("say exactly: in time") }, replayed: false);
    }

    [Fact]
    public async Task Jobs_are_queued_once()
    {
        using var client = application.Developer();
        var key = NewKey();
        var body = new { request = Wire.Chat("say exactly: once") };
        var first = await JobAsync(client, key, body);
        Assert.Equal(first, await JobAsync(client, key, body, replayed: true));
        await using var database = await application.OpenSuperuserAsync();
        // Waiting, running or over.
        Assert.Equal(1, await database.ScalarAsync<long>("SELECT (SELECT count(*) FROM aiaspire.jobs WHERE job_id = $1) + (SELECT count(*) FROM aiaspire.job_history WHERE job_id = $1)", first));
        await client.OverAsync(first, application);
    }

    [Fact]
    public async Task Who_lost_the_connection_gets_the_answer_with_the_retry()
    {
        using var simulator = application.App.CreateHttpClient("sim-openai");
        await simulator.PutAsJsonAsync("/control/models/sim-reasoning/behaviour", new { latency = new { kind = "fixed", ms = 1000 } }, Cancelled);
        using var client = application.Developer();
        var (key, text) = (NewKey(), $"say exactly: kept for you {NewKey()}");
        using (var impatient = CancellationTokenSource.CreateLinkedTokenSource(Cancelled))
        {
            var sending = SendAsync(client, key, Wire.Chat(text, "sim-reasoning"), impatient.Token);
            await Wait.UntilAsync("the call to reach the provider", async () => await ReceivedAsync(text) == 1, application, "api");
            await impatient.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
        }

        using var retried = await UntilAnsweredAsync(client, key, Wire.Chat(text, "sim-reasoning"));
        await simulator.DeleteAsync("/control/models/sim-reasoning/behaviour", Cancelled);
        Assert.Equal("true", retried.Header("Idempotent-Replayed"));
        Assert.Equal(text["say exactly: ".Length..], (await retried.JsonAsync()).Content());
        Assert.Equal(1, await ReceivedAsync(text));
    }

    /// <summary>Retries as an SDK does, while the answer is 409.</summary>
    private async Task<HttpResponseMessage> UntilAnsweredAsync(HttpClient client, string key, object body)
        => await Wait.ForAsync(
            "the key's answer",
            async () =>
            {
                var response = await SendAsync(client, key, body);
                if (response.StatusCode != HttpStatusCode.Conflict)
                    return response;
                response.Dispose();
                return null;
            },
            application,
            "api");

    private static async Task<HttpResponseMessage> SendAsync(HttpClient client, string key, object body, CancellationToken? cancellationToken = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = JsonContent.Create(body) };
        request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        return await client.SendAsync(request, cancellationToken ?? Cancelled);
    }

    private static async Task<Guid> JobAsync(HttpClient client, string key, object body, bool? replayed = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/jobs") { Content = JsonContent.Create(body) };
        request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        using var response = await client.SendAsync(request, Cancelled);
        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        Assert.True(replayed is null || replayed == response.Headers.Contains("Idempotent-Replayed"));
        return (await response.JsonAsync()).GetProperty("id").GetGuid();
    }

    /// <summary>Charges in the conversation of an answer.</summary>
    private async Task<long> ChargesAsync(HttpResponseMessage response)
    {
        await using var database = await application.OpenSuperuserAsync();
        return await database.ScalarAsync<long>(
            "SELECT count(*) FROM aiaspire.ledger_requests WHERE conversation_id = $1 AND charged_cost > 0", Guid.Parse(response.Header("x-aiaspire-conversation")));
    }

    /// <summary>How often a text reached the provider.</summary>
    private async Task<int> ReceivedAsync(string text)
    {
        using var simulator = application.App.CreateHttpClient("sim-openai");
        var received = await simulator.GetFromJsonAsync<JsonElement>($"/control/received?contains={Uri.EscapeDataString(text)}", Cancelled);
        return received.GetProperty("requests").GetArrayLength();
    }

    private static string NewKey() => Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString("N");
}
