using System.Net;
using System.Text;
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
        await using var database = await application.OpenSuperuserAsync();
        var before = await RowsAsync(database);
        using var client = application.Developer();
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await client.PostAsync("/v1/chat/completions", content, TestContext.Current.CancellationToken);
        await response.ErrorAsync((HttpStatusCode)status, code, param);
        Assert.Equal(before, await RowsAsync(database));
    }

    [Fact]
    public async Task Too_large_a_body_is_413_before_it_is_read()
    {
        using var client = application.Developer();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new ByteArrayContent(new byte[2_000_001]) };
        // Otherwise the answer races with our own sending into a connection that the server has closed.
        request.Headers.ExpectContinue = true;
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

    private static async Task<(long Attempts, long Requests, long Messages, long Jobs)> RowsAsync(Npgsql.NpgsqlConnection database) => (
        await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_attempts"),
        await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_requests"),
        await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.messages"),
        await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.jobs"));
}
