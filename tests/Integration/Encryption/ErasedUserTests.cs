using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Encryption;

/// <summary>What an erased user meets, with each kind of credential.</summary>
[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "PRIV-09")]
public sealed class ErasedUserTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_endpoint_is_gone_for_them_their_keys_are_revoked_and_a_repeat_changes_nothing()
    {
        var name = $"erased-{RandomNumberGenerator.GetHexString(8, lowercase: true)}";
        using var own = application.Client(application.Token("acme", name, "auditor"));
        using (var answer = await own.ChatAsync("hello"))
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        await using var database = await application.OpenSuperuserAsync();
        var (tenant, user, pseudonym) = (await database.ListAsync(
            "SELECT tenant_id, user_id, pseudonym FROM aiaspire.users WHERE external_id = $1", row => (row.GetGuid(0), row.GetGuid(1), row.GetGuid(2)), name)).Single();
        using var admin = application.Developer();
        using var made = await admin.PostAsJsonAsync("/v1/admin/api-keys", new { name = "theirs", user_id = user }, Cancelled);
        Assert.True(made.IsSuccessStatusCode, await made.Content.ReadAsStringAsync(Cancelled));
        using var byKey = application.Client((await made.JsonAsync()).GetProperty("key").GetString());
        using (var models = await byKey.GetAsync("/v1/models", Cancelled))
            Assert.Equal(HttpStatusCode.OK, models.StatusCode);

        // Nobody else may do it, and there is nothing to be learned by trying.
        using (var carol = application.Client(application.UserKey("carol")))
        using (var refused = await carol.DeleteAsync($"/v1/admin/users/{user}", Cancelled))
            await refused.ErrorAsync(HttpStatusCode.NotFound, "not_found");

        var first = await EraseAsync(admin, user);
        Assert.Equal(first, await EraseAsync(admin, user));

        await Wait.UntilAsync("the erasure to reach the api", async () => (await own.GetAsync("/v1/models", Cancelled)).StatusCode == HttpStatusCode.Gone, application, "api", Wait.EverywhereWithin);
        var document = JsonElement.Parse(await admin.GetStringAsync("/openapi/v1.json", Cancelled));
        var asked = 0;
        foreach (var path in document.GetProperty("paths").EnumerateObject().Where(p => p.Name.StartsWith("/v1", StringComparison.Ordinal)))
        {
            foreach (var operation in path.Value.EnumerateObject().Where(o => o.Value.ValueKind == JsonValueKind.Object && o.Value.TryGetProperty("responses", out _)))
            {
                var address = string.Join('/', path.Name.Split('/').Select(part => part.StartsWith('{') ? Guid.Empty.ToString() : part));
                using var request = new HttpRequestMessage(new HttpMethod(operation.Name.ToUpperInvariant()), address);
                if (request.Method != HttpMethod.Get)
                    request.Content = JsonContent.Create(Wire.Chat("hello"));
                using var gone = await own.SendAsync(request, Cancelled);
                await gone.ErrorAsync(HttpStatusCode.Gone, "user_erased");
                asked++;
            }
        }

        Assert.InRange(asked, 20, int.MaxValue);
        using (var revoked = await byKey.GetAsync("/v1/models", Cancelled))
            await revoked.ErrorAsync(HttpStatusCode.Unauthorized, "invalid_api_key");
        using (var backend = application.Client(application.TenantKey("acme")))
        {
            backend.DefaultRequestHeaders.Add("X-AiAspire-User", name);
            using var named = await backend.ChatAsync("hello");
            await named.ErrorAsync(HttpStatusCode.Gone, "user_erased");
        }

        // The ledger's rows are nobody's now, and the log tells who did it, once.
        Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.users WHERE pseudonym = $1", pseudonym));
        Assert.Equal(1, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_requests WHERE user_pseudonym = $1", pseudonym));
        Assert.Equal(
            ["user.erased", "user_key.destroy intent", "user_key.destroy done"],
            await database.ListAsync(
                "SELECT action || coalesce(' ' || (details->>'phase'), '') FROM aiaspire.audit_entries WHERE tenant_id = $1 AND target_id = $2 AND action IN ('user.erased', 'user_key.destroy') ORDER BY sequence",
                row => row.GetString(0), tenant, user.ToString()));
    }

    private static async Task<string> EraseAsync(HttpClient admin, Guid user)
    {
        using var response = await admin.DeleteAsync($"/v1/admin/users/{user}", Cancelled);
        Assert.True(response.StatusCode == HttpStatusCode.OK, await response.Content.ReadAsStringAsync(Cancelled));
        return (await response.JsonAsync()).GetProperty("erased_at").GetString()!;
    }
}
