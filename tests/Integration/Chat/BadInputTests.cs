using System.Net;
using System.Text;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Chat;

/// <summary>Bad input gets the right status, names the field, and leaves nothing behind.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class BadInputTests(RunningApplication application)
{
    private const string Hello = """[{"role":"user","content":"hello"}]""";

    public static TheoryData<string, int, string?, string?> Cases => new()
    {
        { "", 400, null, null },
        { "{\"model\":", 400, "invalid_json", null },
        { "[]", 400, null, null },
        { "null", 400, null, null },
        { $$"""{"messages":{{Hello}}}""", 400, "missing_required_parameter", "model" },
        { $$"""{"model":7,"messages":{{Hello}}}""", 400, "invalid_type", "model" },
        { $$"""{"model":"no-such-model","messages":{{Hello}}}""", 404, "model_not_found", "model" },
        { """{"model":"sim-large"}""", 400, "missing_required_parameter", "messages" },
        { """{"model":"sim-large","messages":[]}""", 400, "empty_array", "messages" },
        { """{"model":"sim-large","messages":"hello"}""", 400, "invalid_type", "messages" },
        { """{"model":"sim-large","messages":[{"content":"x"}]}""", 400, "missing_required_parameter", "messages[0].role" },
        { """{"model":"sim-large","messages":[{"role":"wizard","content":"x"}]}""", 400, "invalid_value", "messages[0].role" },
        { $$"""{"model":"sim-large","max_tokens":0,"messages":{{Hello}}}""", 400, "invalid_value", "max_tokens" },
        { $$"""{"model":"sim-large","max_completion_tokens":-5,"messages":{{Hello}}}""", 400, "invalid_value", "max_completion_tokens" },
        { $$"""{"model":"sim-large","max_tokens":"many","messages":{{Hello}}}""", 400, "invalid_type", "max_tokens" },
        { $$"""{"model":"sim-large","temperature":9,"messages":{{Hello}}}""", 400, "invalid_value", "temperature" },
        { $$"""{"model":"sim-large","n":0,"messages":{{Hello}}}""", 400, "invalid_value", "n" },
        { $$"""{"model":"sim-large","stream":"yes","messages":{{Hello}}}""", 400, "invalid_type", "stream" },
        { $$"""{"model":"sim-embedding","messages":{{Hello}}}""", 400, "model_not_supported", "model" },
        { $$"""{"model":"sim-anthropic-large","logit_bias":{"50256":-100},"messages":{{Hello}}}""", 400, "unsupported_parameter", "logit_bias" },
        { $$"""{"model":"sim-anthropic-large","n":2,"messages":{{Hello}}}""", 400, "unsupported_parameter", "n" },
        { """{"model":"sim-anthropic-large","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]}""", 400, "unsupported_parameter", "messages[0].content[0]" },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Is_refused_in_openais_shape_and_writes_nothing(string body, int status, string? code, string? param)
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var client = tenant.As("ann");
        // Makes the user.
        using var known = await client.GetAsync("/v1/models", TestContext.Current.CancellationToken);
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await client.PostAsync("/v1/chat/completions", content, TestContext.Current.CancellationToken);
        await response.ErrorAsync((HttpStatusCode)status, code, param);
        await using var database = await application.OpenSuperuserAsync();
        foreach (var table in new[] { "ledger_attempts", "ledger_requests", "messages", "jobs" })
            Assert.Equal(0, await database.ScalarAsync<long>($"SELECT count(*) FROM aiaspire.{table} WHERE tenant_id = $1", tenant.Id));
    }

    [Fact]
    public async Task Too_large_a_body_is_413_before_it_is_read()
    {
        using var client = application.Developer();
        // More than any buffer on the way takes: who is refused is still sending.
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new ByteArrayContent(new byte[20_000_000]) };
        using var response = await client.SendAsync(request, TestContext.Current.CancellationToken);
        await response.ErrorAsync(HttpStatusCode.RequestEntityTooLarge, "request_too_large");
    }

    [Theory]
    [InlineData("GET", "/v1/no/such/route", 404)]
    [InlineData("GET", "/v1/chat/completions", 405)]
    public async Task An_unknown_route_or_method_has_a_body_too(string method, string path, int status)
    {
        using var client = application.Developer();
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        using var response = await client.SendAsync(request, TestContext.Current.CancellationToken);
        await response.ErrorAsync((HttpStatusCode)status);
    }

    [Theory]
    [InlineData("GET", "/v1/jobs?limit=abc", null, 400, "invalid_type", "limit")]
    [InlineData("GET", "/v1/jobs?after=zzz", null, 400, "invalid_type", "after")]
    [InlineData("GET", "/v1/jobs/abc", null, 400, "invalid_type", "id")]
    [InlineData("GET", "/v1/admin/users?tenant_id=acme", null, 400, "invalid_type", "tenant_id")]
    [InlineData("POST", "/v1/jobs", """{"request":{},"max_cost":0.1}""", 400, "unknown_field", "max_cost")]
    [InlineData("POST", "/v1/jobs", """{"request":{},"run_at":"tomorrow"}""", 400, "invalid_type", "run_at")]
    [InlineData("POST", "/v1/jobs", """{"request":{},"priority":"5"}""", 400, "invalid_type", "priority")]
    [InlineData("POST", "/v1/jobs", """{"request":""", 400, "invalid_json", null)]
    [InlineData("POST", "/v1/jobs", "", 400, null, null)]
    [InlineData("POST", "/v1/jobs", "null", 400, null, null)]
    [InlineData("POST", "/v1/batches", """{"input_file_id":5}""", 400, "invalid_type", "input_file_id")]
    [InlineData("POST", "/v1/batches", """{"output_expires":{"seconds":3600}}""", 400, "unknown_field", "output_expires")]
    [InlineData("POST", "/v1/feedback", """{"rating":5}""", 400, "missing_required_parameter", "request_id")]
    [InlineData("POST", "/v1/feedback", """{"request_id":"x","rating":5}""", 400, "invalid_type", "request_id")]
    [InlineData("PUT", "/v1/admin/kill-switches/service", "{}", 400, "missing_required_parameter", "engaged")]
    [InlineData("PUT", "/v1/admin/kill-switches/model/no-such-model", """{"engaged":true}""", 400, "invalid_value", "name")]
    [InlineData("PUT", "/v1/admin/kill-switches/provider/no-such-provider", """{"engaged":true}""", 400, "invalid_value", "name")]
    [InlineData("POST", "/v1/files", """{"purpose":"batch"}""", 415, null, null)]
    public async Task What_an_endpoint_cannot_read_is_told_by_its_field_and_in_the_callers_words(string method, string path, string? body, int status, string? code, string? param)
    {
        using var client = application.Developer();
        using var request = new HttpRequestMessage(new HttpMethod(method), path) { Content = body is null ? null : new StringContent(body, Encoding.UTF8, "application/json") };
        using var response = await client.SendAsync(request, TestContext.Current.CancellationToken);
        var message = (await response.ErrorAsync((HttpStatusCode)status, code, param)).GetProperty("message").GetString()!;
        Assert.DoesNotContain("parameter \"", message, StringComparison.Ordinal);
        Assert.DoesNotContain("another kind", message, StringComparison.Ordinal);
        Assert.Equal(path == "/v1/files", message.Contains("multipart/form-data", StringComparison.Ordinal));
    }
}
