using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Idempotency;

/// <summary>
/// Kills the Api between each two steps of a chat call that carries a key. The steps are held where the test wants them from outside: by
/// a lock on the table that the next step writes, or a provider that does not answer.
/// </summary>
[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "ARCH-04")]
public sealed class CrashTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>The moment, and how many provider calls and attempts there are in the end.</summary>
    public static TheoryData<string, int, int, int> Moments => new()
    {
        { "the key is claimed and no attempt opened", 1, 1, 1 },
        // Whether the request lies in the provider's socket when its sender dies is nobody's to say.
        { "the attempt is open and the provider has not begun", 1, 2, 2 },
        { "the provider is at work", 2, 2, 2 },
        { "the provider has answered and nothing is settled", 2, 2, 2 },
        { "all is settled and the answer not sent", 1, 1, 1 },
    };

    [Theory]
    [MemberData(nameof(Moments))]
    public async Task A_retry_succeeds_with_one_effect_when_the_api_died_while(string moment, int leastCalls, int mostCalls, int attempts)
    {
        var unique = Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString("N");
        var (user, text) = ($"crash-{unique}", $"say exactly: survived {unique}");
        var body = Wire.Chat(text, "sim-reasoning");
        using (var client = application.Client(application.Token("acme", user)))
        {
            // Makes the user, whose own steps are then the call's alone.
            using var known = await client.GetAsync("/v1/models", Cancelled);
            await DieAsync(moment, text, user, () => SendAsync(client, unique, body));
        }

        await application.App.ResourceNotifications.WaitForResourceHealthyAsync("api", Cancelled);
        using var again = application.Client(application.Token("acme", user));
        using var answer = await Wait.ForAsync(
            "the key's answer",
            async () =>
            {
                var response = await SendAsync(again, unique, body);
                if (response.StatusCode != HttpStatusCode.Conflict)
                    return response;
                response.Dispose();
                return null;
            },
            application,
            "api");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(text["say exactly: ".Length..], (await answer.JsonAsync()).Content());
        Assert.InRange(await ReceivedAsync(text), leastCalls, mostCalls);
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(1, await database.ScalarAsync<long>(Count("ledger_requests x ON x.user_pseudonym = u.pseudonym AND x.charged_cost > 0"), user));
        Assert.Equal(2, await database.ScalarAsync<long>(Count("messages x ON x.user_id = u.user_id"), user));
        // One of them may be the dead process's, still open: the reconciler's to close.
        Assert.Equal(attempts, await database.ScalarAsync<long>(Count("ledger_attempts x ON x.user_pseudonym = u.pseudonym"), user));
        await database.ExecuteAsync("UPDATE aiaspire.ledger_attempts SET outcome = 'Abandoned', usage_source = 'Estimate' WHERE outcome = 'Open'");

        static string Count(string of) => $"SELECT count(*) FROM aiaspire.users u JOIN aiaspire.{of} AND x.tenant_id = u.tenant_id WHERE u.external_id = $1";
    }

    /// <summary>Sends, waits for the moment, and kills the Api there.</summary>
    private Task DieAsync(string moment, string text, string user, Func<Task<HttpResponseMessage>> send) => moment switch
    {
        "the key is claimed and no attempt opened" => DieAtLockAsync("ledger_attempts", statementDies: true, send),
        "the attempt is open and the provider has not begun" => DieAtStoppedProviderAsync(user, send),
        "the provider is at work" => DieAtProviderAsync(text, send),
        "the provider has answered and nothing is settled" => DieAtLockAsync("ledger_requests", statementDies: true, send),
        "all is settled and the answer not sent" => DieAtLockAsync("ledger_requests", statementDies: false, send),
        _ => throw new ArgumentOutOfRangeException(nameof(moment), moment, null),
    };

    /// <param name="table">What the step writes that is held.</param>
    /// <param name="statementDies">Whether the held statement dies with the process, or is done by the database for nobody.</param>
    /// <param name="send">Sends.</param>
    private async Task DieAtLockAsync(string table, bool statementDies, Func<Task<HttpResponseMessage>> send)
    {
        await using var database = await application.OpenSuperuserAsync();
        await using var held = await database.BeginTransactionAsync(Cancelled);
        await database.ExecuteAsync($"LOCK TABLE aiaspire.{table} IN SHARE MODE");
        var sending = send();
        await using var other = await application.OpenSuperuserAsync();
        // The workers' reconciler comes by as well and waits for the same lock.
        const string Waiting = "FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.relation = $1::regclass AND NOT l.granted AND a.application_name = 'AiAspire.Api'";
        await Wait.UntilAsync($"the call to write {table}", async () => await other.ScalarAsync<long>($"SELECT count(*) {Waiting}", $"aiaspire.{table}") > 0, application, "api");
        await KillAsync(sending);
        if (statementDies)
            await other.ExecuteAsync($"SELECT pg_terminate_backend(a.pid) {Waiting}", $"aiaspire.{table}");
        await held.RollbackAsync(Cancelled);
    }

    private async Task DieAtStoppedProviderAsync(string user, Func<Task<HttpResponseMessage>> send)
    {
        await application.App.PauseResourceAsync("sim-openai");
        try
        {
            var sending = send();
            await using var database = await application.OpenSuperuserAsync();
            await Wait.UntilAsync(
                "the attempt to be open",
                async () => await database.ScalarAsync<long>(
                    "SELECT count(*) FROM aiaspire.ledger_attempts a JOIN aiaspire.users u ON u.pseudonym = a.user_pseudonym WHERE u.external_id = $1 AND a.outcome = 'Open'", user) == 1,
                application,
                "api");
            await KillAsync(sending);
        }
        finally
        {
            await application.App.ResumeResourceAsync("sim-openai");
        }
    }

    private async Task DieAtProviderAsync(string text, Func<Task<HttpResponseMessage>> send)
    {
        using var simulator = application.App.CreateHttpClient("sim-openai");
        using var slow = await simulator.PutAsJsonAsync("/control/models/sim-reasoning/behaviour", new { latency = new { kind = "fixed", ms = 3000 } }, Cancelled);
        var sending = send();
        await Wait.UntilAsync("the call to reach the provider", async () => await ReceivedAsync(text) == 1, application, "api");
        await KillAsync(sending);
        using var fast = await simulator.DeleteAsync("/control/models/sim-reasoning/behaviour", Cancelled);
    }

    private async Task KillAsync(Task<HttpResponseMessage> sending)
    {
        await application.App.KillResourceAsync("api", cancellationToken: Cancelled);
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => sending);
    }

    private static async Task<HttpResponseMessage> SendAsync(HttpClient client, string key, object body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = JsonContent.Create(body) };
        request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        return await client.SendAsync(request, Cancelled);
    }

    /// <summary>How often a text reached the provider.</summary>
    private async Task<int> ReceivedAsync(string text)
    {
        using var simulator = application.App.CreateHttpClient("sim-openai");
        var received = await simulator.GetFromJsonAsync<JsonElement>($"/control/received?contains={Uri.EscapeDataString(text)}", Cancelled);
        return received.GetProperty("requests").GetArrayLength();
    }
}
