using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using AiAspire.Integration.Application;
using AiAspire.Integration.Batches;
using Npgsql;

namespace AiAspire.Integration.Isolation;

/// <summary>
/// Asks for everything of one user of tenant A, as others: over every operation of the OpenAPI document, so that a new endpoint is
/// swept without anyone remembering it. No answer may hold A's ids or words, and none of A's rows may change.
/// </summary>
[Collection(ApplicationCollection.Name)]
public sealed class LeakSweepTests(RunningApplication application)
{
    private const string Canary = "sweep-canary-93b1f";

    private static readonly string[] SweptTables =
        ["tenants", "tiers", "users", "api_keys", "conversations", "messages", "feedback", "jobs", "job_history", "job_events", "job_parts", "files", "file_chunks", "batches", "idempotency_keys", "kill_switches"];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("an administrator of another tenant")]
    [InlineData("a user of another tenant")]
    [InlineData("another user of the same tenant")]
    [Trait("Checklist", "AUTH-05")]
    [Trait("Checklist", "AUTH-06")]
    [Trait("Checklist", "AUTH-07")]
    public async Task Nothing_of_the_victim_is_told_or_changed(string stranger)
    {
        var victim = await CreateVictimAsync();
        await using var database = await application.OpenSuperuserAsync();
        var before = await RowsAsync(database, victim.TenantId);
        using var client = application.Client(stranger switch
        {
            "an administrator of another tenant" => application.UserKey("carol"),
            "a user of another tenant" => application.Token("globex", "dave"),
            _ => application.Token("acme", "bob"),
        });
        var document = JsonElement.Parse(await client.GetStringAsync("/openapi/v1.json", Cancelled));
        var asked = 0;
        foreach (var path in document.GetProperty("paths").EnumerateObject())
        {
            foreach (var operation in path.Value.EnumerateObject().Where(o => o.Value.ValueKind == JsonValueKind.Object && o.Value.TryGetProperty("responses", out _)))
            {
                foreach (var request in Requests(path.Name, operation, victim))
                {
                    using (request)
                    {
                        using var response = await client.SendAsync(request, Cancelled);
                        var text = await response.Content.ReadAsStringAsync(Cancelled);
                        asked++;
                        var where = $"{request.Method} {request.RequestUri} as {stranger} answered {(int)response.StatusCode}: {text}";
                        Assert.True((int)response.StatusCode < 500, where);
                        AssertSilent(text + response.Headers, victim, Echoed(request, victim), where);
                    }
                }
            }
        }

        Assert.True(asked > 50, $"only {asked} requests were swept");
        Assert.Equal(before, await RowsAsync(database, victim.TenantId));
    }

    /// <summary>Every path parameter, every query parameter, and the body's ids, each with each of the victim's values.</summary>
    private static IEnumerable<HttpRequestMessage> Requests(string path, JsonProperty operation, Victim victim)
    {
        var method = new HttpMethod(operation.Name.ToUpperInvariant());
        var query = operation.Value.TryGetProperty("parameters", out var parameters)
            ? parameters.EnumerateArray().Where(p => p.GetProperty("in").GetString() == "query").Select(p => p.GetProperty("name").GetString()!).ToList()
            : [];
        foreach (var id in victim.Ids)
        {
            // What a stranger names themselves would only come back to them as their own.
            var address = string.Join('/', path.Split('/').Select(part => part == "{name}" ? "sweep" : part.StartsWith('{') ? Uri.EscapeDataString(id) : part));
            yield return Request(address, id);
            foreach (var name in query)
                yield return Request($"{address}?{name}={Uri.EscapeDataString(id)}", id);
        }

        HttpRequestMessage Request(string address, string id)
        {
            var request = new HttpRequestMessage(method, address);
            request.Headers.TryAddWithoutValidation("x-aiaspire-conversation", victim.Conversation);
            request.Headers.TryAddWithoutValidation("Idempotency-Key", victim.IdempotencyKey);
            if (method != HttpMethod.Get)
            {
                var body = new { id, request_id = id, user_id = id, tenant_id = id, name = "sweep", rating = 3, model = "sim-large", stream = false, messages = new[] { new { role = "user", content = "x" } }, request = Wire.Chat("x"), input_file_id = id, endpoint = "/v1/chat/completions", completion_window = "24h" };
                request.Content = new StringContent(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json");
            }

            return request;
        }
    }

    /// <summary>What a request itself named may come back in the answer to it, and tells nothing.</summary>
    private static HashSet<string> Echoed(HttpRequestMessage request, Victim victim)
        => [victim.Conversation, .. victim.Ids.Where(id => request.RequestUri!.OriginalString.Contains(Uri.EscapeDataString(id), StringComparison.OrdinalIgnoreCase))];

    private static void AssertSilent(string answer, Victim victim, HashSet<string> echoed, string where)
    {
        Assert.False(answer.Contains(Canary, StringComparison.OrdinalIgnoreCase), $"A's words: {where}");
        // A colleague knows the tenant they share.
        foreach (var id in victim.Ids.Where(id => !echoed.Contains(id) && IsUnique(id) && id != victim.TenantId.ToString()))
            Assert.False(answer.Contains(id, StringComparison.OrdinalIgnoreCase), $"A's id {id}: {where}");
    }

    /// <summary>A word such as a tenant's name may stand in any answer.</summary>
    private static bool IsUnique(string id) => Guid.TryParse(id, out _) || id.StartsWith("file-", StringComparison.Ordinal) || id.StartsWith("batch_", StringComparison.Ordinal);

    private async Task<Victim> CreateVictimAsync()
    {
        using var alice = application.Client(application.Token("acme", "alice"));
        var key = Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString();
        using var chat = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = JsonContent.Create(Wire.Chat($"remember {Canary}")) };
        chat.Headers.Add("Idempotency-Key", key);
        using var answer = await alice.SendAsync(chat, Cancelled);
        using var job = await alice.PostAsJsonAsync("/v1/jobs", new { request = Wire.Chat($"say exactly: {Canary}") }, Cancelled);
        var jobId = (await job.JsonAsync()).GetProperty("id").GetString()!;
        await Wait.UntilAsync(
            "the victim's job", async () => (await alice.GetStringAsync($"/v1/jobs/{jobId}", Cancelled)).Contains("succeeded", StringComparison.Ordinal), application, "workers");
        using var feedback = await alice.PostAsJsonAsync(
            "/v1/feedback", new { request_id = answer.Header("x-request-id"), rating = 4, comment = Canary }, Cancelled);
        var line = new { custom_id = "sweep", method = "POST", url = "/v1/chat/completions", body = Wire.Chat($"say exactly: {Canary}") };
        var fileId = await alice.UploadAsync(JsonSerializer.SerializeToUtf8Bytes(line));
        using var batch = await alice.PostAsJsonAsync("/v1/batches", new { input_file_id = fileId, endpoint = line.url, completion_window = "24h", metadata = new { word = Canary } }, Cancelled);
        var batchId = (await batch.JsonAsync()).GetProperty("id").GetString()!;
        var outputId = await Wait.ForAsync(
            "the victim's batch",
            async () => (await alice.GetFromJsonAsync<JsonElement>($"/v1/batches/{batchId}", Cancelled)).GetProperty("output_file_id").GetString(),
            application,
            "workers");
        await using var database = await application.OpenSuperuserAsync();
        var tenantId = await database.ScalarAsync<Guid>("SELECT tenant_id FROM aiaspire.tenants WHERE slug = 'acme'");
        var userId = await database.ScalarAsync<Guid>("SELECT user_id FROM aiaspire.users WHERE external_id = 'alice' AND tenant_id = $1", tenantId);
        var keyId = await database.ScalarAsync<Guid>("SELECT api_key_id FROM aiaspire.api_keys WHERE tenant_id = $1 AND user_id IS NULL LIMIT 1", tenantId);
        return new Victim(
            tenantId,
            answer.Header("x-aiaspire-conversation"),
            key,
            [
                answer.Header("x-aiaspire-conversation"), answer.Header("x-request-id"), jobId, (await feedback.JsonAsync()).GetProperty("id").GetString()!,
                tenantId.ToString(), userId.ToString(), keyId.ToString(), fileId, outputId, batchId, "acme", "alice",
            ]);
    }

    private static async Task<Dictionary<string, string>> RowsAsync(NpgsqlConnection database, Guid tenantId)
    {
        var rows = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var table in SweptTables)
        {
            // The stranger of the same tenant leaves rows of their own there, so per-user tables are compared for the victim alone.
            var owner = table is "conversations" or "messages" or "feedback" or "jobs" or "job_history" or "job_events" or "job_parts" or "files" or "file_chunks" or "batches" or "idempotency_keys"
                ? "AND user_id = (SELECT user_id FROM aiaspire.users u WHERE u.tenant_id = $1 AND u.external_id = 'alice')"
                : "";
            rows[table] = await database.ScalarAsync<string>(
                $"SELECT coalesce(md5(string_agg((to_jsonb(t) - 'last_used_at')::text, ',' ORDER BY t::text)), '') FROM aiaspire.{table} t WHERE tenant_id = $1 {owner}", tenantId);
        }

        return rows;
    }

    private sealed record Victim(Guid TenantId, string Conversation, string IdempotencyKey, IReadOnlyList<string> Ids);
}
