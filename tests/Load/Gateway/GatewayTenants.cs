using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.AppHost;
using Aspire.Hosting;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Load.Gateway;

/// <summary>Tenants of a run, with every kind of limit set far away: counted, and never reached.</summary>
internal sealed record GatewayTenants(IReadOnlyList<Guid> Ids, IReadOnlyList<string> Credentials)
{
    private const long Ample = 1_000_000_000_000;
    private const int Tenants = 3;

    public static async Task<GatewayTenants> CreateAsync(DistributedApplication app, TimeProvider time, CancellationToken cancellationToken)
    {
        var secrets = DevelopmentSecrets.In(app.DataFolder);
        using var admin = app.CreateHttpClient("api");
        admin.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", secrets.ApiKey);
        await using (var superuser = NpgsqlDataSource.Create((await app.GetConnectionStringAsync("aiaspire", cancellationToken))!))
        await using (var command = superuser.CreateCommand($"UPDATE aiaspire.tiers SET tokens_per_day = {Ample}"))
            await command.ExecuteNonQueryAsync(cancellationToken);
        await PutAsync(admin, "/v1/admin/budgets/chaos-service?platform=true", new { scope = "service", unit = "usd", period = "day", limit = 1_000_000 }, cancellationToken);
        using var issuer = secrets.IssuerKey();
        var (ids, credentials) = (new List<Guid>(), new List<string>());
        for (var i = 1; i <= Tenants; i++)
        {
            var slug = $"load-{i}";
            using var made = await admin.PostAsJsonAsync("/v1/admin/tenants", new { slug, name = slug, tokens_per_day = Ample }, cancellationToken);
            if (!made.IsSuccessStatusCode)
                throw new InvalidOperationException(await made.Content.ReadAsStringAsync(cancellationToken));
            var id = (await made.Content.ReadFromJsonAsync<JsonElement>(cancellationToken)).GetProperty("id").GetGuid();
            await PutAsync(admin, $"/v1/admin/budgets/chaos-tenant?tenant_id={id}", new { scope = "tenant", unit = "usd", period = "day", limit = 1_000_000 }, cancellationToken);
            ids.Add(id);
            credentials.Add(TokenVerb.Sign(issuer, slug, "caller", ["user"], TimeSpan.FromHours(2), time));
        }

        return new GatewayTenants(ids, credentials);
    }

    private static async Task PutAsync(HttpClient admin, string path, object body, CancellationToken cancellationToken)
    {
        using var set = await admin.PutAsJsonAsync(path, body, cancellationToken);
        if (!set.IsSuccessStatusCode)
            throw new InvalidOperationException(await set.Content.ReadAsStringAsync(cancellationToken));
    }
}
