using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Admin;

/// <summary>A tenant made through the administrative API, with what tests do to it as an operator.</summary>
internal sealed class AdministeredTenant : IDisposable
{
    private readonly RunningApplication _application;

    private AdministeredTenant(RunningApplication application, HttpClient operators, JsonElement tenant)
    {
        _application = application;
        Operator = operators;
        Id = tenant.GetProperty("id").GetGuid();
        Slug = tenant.GetProperty("slug").GetString()!;
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public Guid Id { get; }

    public string Slug { get; }

    /// <summary>Someone of another tenant, with the operator role.</summary>
    public HttpClient Operator { get; }

    public static async Task<AdministeredTenant> CreateAsync(RunningApplication application)
    {
        var client = application.Developer();
        using var response = await client.PostAsJsonAsync(
            "/v1/admin/tenants", new { slug = $"t-{Guid.CreateVersion7(TimeProvider.System.GetUtcNow()):n}", name = "A test" }, Cancelled);
        Assert.Equal(HttpStatusCode.Created, response.StatusCode);
        return new AdministeredTenant(application, client, await response.JsonAsync());
    }

    /// <summary>A token of one of its users.</summary>
    public HttpClient As(string user, params string[] roles) => _application.Client(_application.Token(Slug, user, roles));

    public string Path(string path) => $"/v1/admin/{path}?tenant_id={Id}";

    public Task<JsonElement> PostAsync(string path, object body) => DoneAsync(Operator.PostAsJsonAsync(Path(path), body, Cancelled));

    public Task<JsonElement> PutAsync(string path, object body) => DoneAsync(Operator.PutAsJsonAsync(Path(path), body, Cancelled));

    public Task<JsonElement> PatchAsync(string path, object body) => DoneAsync(Operator.PatchAsJsonAsync(path, body, Cancelled));

    public async Task<Guid> AddUserAsync(string name) => (await PostAsync("users", new { external_id = name })).GetProperty("id").GetGuid();

    public async Task<(Guid Id, string Key)> AddKeyAsync(Guid user)
    {
        var made = await PostAsync("api-keys", new { name = "a test", user_id = user });
        return (made.GetProperty("api_key").GetProperty("id").GetGuid(), made.GetProperty("key").GetString()!);
    }

    /// <summary>Asks with this client until it is answered so, for five seconds at most.</summary>
    public Task AnsweredAsync(HttpClient client, HttpStatusCode expected) => Wait.UntilAsync(
        $"{expected} from {Slug}",
        async () =>
        {
            using var response = await client.GetAsync("/v1/models", Cancelled);
            return response.StatusCode == expected;
        },
        _application,
        "api",
        Wait.EverywhereWithin);

    public async Task<List<JsonElement>> AuditAsync(string action)
    {
        using var auditor = As("auditor", "auditor");
        var list = await auditor.GetFromJsonAsync<JsonElement>($"/v1/audit?action={action}", Cancelled);
        return [.. list.GetProperty("data").EnumerateArray()];
    }

    public void Dispose() => Operator.Dispose();

    private static async Task<JsonElement> DoneAsync(Task<HttpResponseMessage> answer)
    {
        using var response = await answer;
        var text = await response.Content.ReadAsStringAsync(Cancelled);
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonElement.Parse(text);
    }
}
