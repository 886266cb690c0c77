using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using AiAspire.Integration.Jobs;
using Npgsql;

namespace AiAspire.Integration.Isolation;

[Collection(ApplicationCollection.Name)]
public sealed class IsolationTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "AUTH-05")]
    [Trait("Checklist", "AUTH-07")]
    [Trait("Checklist", "CONV-06")]
    public async Task Neither_another_tenant_nor_another_user_of_the_same_reaches_a_users_rows()
    {
        const string Canary = "canary-7f3a9";
        using var owner = application.Client(application.Token("acme", "alice"));
        using var answer = await owner.ChatAsync($"remember {Canary}");
        var conversation = answer.Header("x-aiaspire-conversation");
        using var queued = await owner.PostAsJsonAsync("/v1/jobs", new { request = Wire.Chat(Canary) }, Cancelled);
        var job = (await queued.JsonAsync()).GetProperty("id").GetString();
        foreach (var stranger in new[] { application.UserKey("carol"), application.Token("acme", "bob"), application.DeveloperKey })
        {
            using var client = application.Client(stranger);
            foreach (var path in new[] { $"/v1/conversations/{conversation}/messages", $"/v1/jobs/{job}" })
            {
                using var response = await client.GetAsync(path, Cancelled);
                await response.ErrorAsync(HttpStatusCode.NotFound, "not_found");
            }

            var list = await client.GetStringAsync("/v1/conversations?limit=100", Cancelled);
            Assert.DoesNotContain(conversation, list, StringComparison.Ordinal);
            // Naming another's conversation starts one's own under that id: nothing is told, nothing is touched.
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = JsonContent.Create(Wire.Chat("mine")) };
            request.Headers.Add("x-aiaspire-conversation", conversation);
            using var intrusion = await client.SendAsync(request, Cancelled);
            Assert.Equal(HttpStatusCode.OK, intrusion.StatusCode);
            var own = await client.GetStringAsync($"/v1/conversations/{conversation}/messages", Cancelled);
            Assert.DoesNotContain(Canary, own, StringComparison.Ordinal);
        }

        var messages = await owner.GetFromJsonAsync<JsonElement>($"/v1/conversations/{conversation}/messages", Cancelled);
        Assert.Equal(2, messages.GetProperty("data").GetArrayLength());
        await owner.OverAsync(Guid.Parse(job!), application);
    }

    [Fact]
    [Trait("Checklist", "AUTH-03")]
    public async Task The_database_itself_shows_the_app_role_nothing_without_a_scope_and_one_tenant_with_one()
    {
        using var client = application.Developer();
        using var made = await client.ChatAsync("hello");
        await using var superuser = await application.OpenSuperuserAsync();
        await using var app = await application.OpenAsAsync("aiaspire_app");
        var tables = await TenantTablesAsync(superuser);
        Assert.Contains("messages", tables);
        foreach (var table in tables)
            Assert.Equal(0, await CountAsync(app, table));

        var globex = await superuser.ScalarAsync<Guid>("SELECT tenant_id FROM aiaspire.tenants WHERE slug = 'globex'");
        await using var transaction = await app.BeginTransactionAsync(Cancelled);
        await app.ExecuteAsync("SELECT set_config('app.tenant_id', $1, true), set_config('app.reach', 'tenant_admin', true)", globex.ToString());
        foreach (var table in tables)
        {
            var foreign = await app.ScalarAsync<long>(
                $"SELECT count(*) FROM aiaspire.{table} WHERE tenant_id NOT IN ($1, '00000000-0000-7000-8000-000000000001')", globex);
            Assert.True(foreign == 0, $"{table} shows {foreign} rows of other tenants");
        }

        var crossing = await Assert.ThrowsAsync<PostgresException>(() => app.ExecuteAsync(
            "INSERT INTO aiaspire.kill_switches (tenant_id, scope, engaged, changed_by, changed_at) VALUES ('00000000-0000-7000-8000-000000000001', 'x', true, 'x', now())"));
        Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, crossing.SqlState);
    }

    [Fact]
    public async Task The_ledger_role_writes_and_cannot_read()
    {
        using (var client = application.Developer())
            (await client.ChatAsync("so that there is something to read")).Dispose();
        await using var ledger = await application.OpenAsAsync("aiaspire_ledger");
        foreach (var sql in new[]
        {
            "SELECT provider_cost FROM aiaspire.ledger_attempts",
            "SELECT user_pseudonym FROM aiaspire.ledger_attempts",
            "UPDATE aiaspire.ledger_attempts SET tenant_id = tenant_id",
            "DELETE FROM aiaspire.ledger_attempts",
            "SELECT charged_cost FROM aiaspire.ledger_requests",
            "SELECT user_pseudonym FROM aiaspire.ledger_requests",
            "UPDATE aiaspire.ledger_requests SET tenant_id = tenant_id",
            "DELETE FROM aiaspire.ledger_requests",
            "SELECT count(*) FROM aiaspire.messages",
            "UPDATE aiaspire.messages SET content = ''",
            "UPDATE aiaspire.conversations SET feature = ''",
            "SELECT feature FROM aiaspire.conversations",
            "SELECT count(*) FROM aiaspire.users",
        })
        {
            var refused = await Assert.ThrowsAsync<PostgresException>(() => ledger.ExecuteAsync(sql));
            Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, refused.SqlState);
        }

        // What is settled stays as it is.
        await using var command = new NpgsqlCommand("UPDATE aiaspire.ledger_attempts SET provider_cost = 0 WHERE outcome = 'Succeeded'", ledger);
        Assert.Equal(0, await command.ExecuteNonQueryAsync(Cancelled));
        Assert.Equal(0, await ledger.ExecuteAsync("UPDATE aiaspire.ledger_requests SET charged_cost = 0 WHERE outcome = 'succeeded'"));
    }

    [Fact]
    [Trait("Checklist", "PRIV-04")]
    public async Task Content_is_ciphertext_in_the_database()
    {
        const string Canary = "plaintext-canary-51c2";
        using var client = application.Developer();
        using var answer = await client.ChatAsync($"say exactly: {Canary}");
        using var feedback = await client.PostAsJsonAsync(
            "/v1/feedback", new { request_id = answer.Header("x-request-id"), rating = 1, comment = Canary }, Cancelled);
        using var job = await client.PostAsJsonAsync("/v1/jobs", new { request = Wire.Chat($"say exactly: {Canary}") }, Cancelled);
        await using var superuser = await application.OpenSuperuserAsync();
        foreach (var table in await TenantTablesAsync(superuser))
        {
            // bytea prints as hexadecimal, so its bytes are looked at as they are.
            var found = await superuser.ScalarAsync<long>(
                $"SELECT count(*) FROM aiaspire.{table} t WHERE t::text LIKE '%' || $1 || '%' OR t::text LIKE '%' || encode(convert_to($1, 'UTF8'), 'hex') || '%'", Canary);
            Assert.True(found == 0, $"{table} holds the text in the clear");
        }

        await client.OverAsync((await job.JsonAsync()).GetProperty("id").GetGuid(), application);
    }

    private static Task<List<string>> TenantTablesAsync(NpgsqlConnection connection) => connection.ListAsync(
        """
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relnamespace = 'aiaspire'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
        """,
        row => row.GetString(0));

    private static async Task<long> CountAsync(NpgsqlConnection connection, string table)
    {
        var shared = await connection.ScalarAsync<long>(
            $"SELECT count(*) FROM aiaspire.{table} WHERE tenant_id = '00000000-0000-7000-8000-000000000001'");
        return await connection.ScalarAsync<long>($"SELECT count(*) FROM aiaspire.{table}") - shared;
    }
}
