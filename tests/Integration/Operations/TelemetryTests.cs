using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Operations;

/// <summary>What an operator reads of a call: its log line, its errors, its metrics.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class TelemetryTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "OBS-08")]
    [Trait("Checklist", "OBS-10")]
    [Trait("Checklist", "OBS-11")]
    public async Task Each_call_is_one_line_of_json_with_model_tokens_latency_and_cost()
    {
        using var client = application.Developer();
        using var answer = await client.ChatAsync("say exactly: a line for the log", "sim-large");
        var usage = (await answer.JsonAsync()).GetProperty("usage");

        var line = await LineAsync(answer.Header("x-request-id"), l => l.TryGetProperty("event_name", out var name) && name.GetString() == "llm.call");

        var told = line.GetProperty("parameters");
        Assert.Equal(("sim-large", "sim-openai", "succeeded", "chat"), (Text("Model"), Text("Provider"), Text("Outcome"), Text("Feature")));
        Assert.Equal(usage.GetProperty("prompt_tokens").GetInt64(), told.GetProperty("InputTokens").GetInt64());
        Assert.Equal(usage.GetProperty("completion_tokens").GetInt64(), told.GetProperty("OutputTokens").GetInt64());
        Assert.Equal(decimal.Parse(answer.Header("x-aiaspire-cost-usd"), System.Globalization.CultureInfo.InvariantCulture), told.GetProperty("CostUsd").GetDecimal());
        Assert.True(told.GetProperty("LatencyMs").GetDouble() > 0);
        Assert.DoesNotContain("a line for the log", line.GetRawText(), StringComparison.Ordinal);
        Assert.NotEmpty(line.GetProperty("trace_id").GetString()!);

        string? Text(string name) => told.GetProperty(name).GetString();
    }

    [Fact]
    [Trait("Checklist", "OBS-09")]
    public async Task Each_error_is_logged_with_user_tenant_and_operation()
    {
        using var client = application.Client(application.Token("acme", "erring-user"));
        using var company = application.App.CreateHttpClient("sim-openai");
        await company.PutAsJsonAsync("/control/models/sim-small/behaviour", new { errorCount = 10, errorStatus = 500 }, Cancelled);
        using var failed = await client.ChatAsync("hello", "sim-small");
        await company.DeleteAsync("/control/models/sim-small/behaviour", Cancelled);
        await failed.ErrorAsync(HttpStatusCode.BadGateway);
        using var refused = await client.ChatAsync("hello", "no-such-model");
        await refused.ErrorAsync(HttpStatusCode.NotFound);
        await using var database = await application.OpenSuperuserAsync();
        var (tenant, user) = (await database.ListAsync(
            "SELECT u.tenant_id, u.user_id FROM aiaspire.users u JOIN aiaspire.tenants t USING (tenant_id) WHERE t.slug = 'acme' AND u.external_id = 'erring-user'",
            r => (r.GetGuid(0), r.GetGuid(1)))).Single();

        foreach (var (answer, code) in new[] { (failed, "provider_server_error"), (refused, "model_not_found") })
        {
            var line = await LineAsync(answer.Header("x-request-id"), l => l.GetProperty("parameters").TryGetProperty("Code", out var told) && told.GetString() == code);
            Assert.Equal((tenant.ToString(), user.ToString()), (line.GetProperty("tenant_id").GetString(), line.GetProperty("user_id").GetString()));
            Assert.Equal(("POST", "/v1/chat/completions"), (line.GetProperty("parameters").GetProperty("Method").GetString(), line.GetProperty("parameters").GetProperty("Path").GetString()));
        }
    }

    [Fact]
    [Trait("Checklist", "OBS-01")]
    [Trait("Checklist", "OBS-02")]
    [Trait("Checklist", "OBS-03")]
    [Trait("Checklist", "OBS-04")]
    [Trait("Checklist", "OBS-05")]
    public async Task The_metrics_can_be_scraped_by_model_and_tier_and_errors_by_code()
    {
        using var client = application.Developer();
        using var company = application.App.CreateHttpClient("sim-openai");
        using (var answer = await client.ChatAsync("hello", "sim-reasoning"))
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        await company.PutAsJsonAsync("/control/models/sim-reasoning/behaviour", new { errorCount = 1, errorStatus = 429, retryAfterSeconds = 1 }, Cancelled);
        using (var retried = await client.ChatAsync("hello", "sim-reasoning"))
            Assert.Equal(HttpStatusCode.OK, retried.StatusCode);
        await company.DeleteAsync("/control/models/sim-reasoning/behaviour", Cancelled);

        var lines = (await client.GetStringAsync("/metrics", Cancelled)).Split('\n');

        foreach (var name in new[] { "llm_tokens_input", "llm_tokens_output", "llm_latency_ms", "llm_cost_usd" })
        {
            Assert.Contains(lines, l => l.StartsWith(name, StringComparison.Ordinal) && l.Contains("_bucket{", StringComparison.Ordinal)
                && l.Contains("model=\"sim-reasoning\"", StringComparison.Ordinal) && l.Contains("tier=\"developer\"", StringComparison.Ordinal));
        }

        Assert.Contains(lines, l => l.StartsWith("llm_errors_total", StringComparison.Ordinal) && l.Contains("error_code=\"rate_limited\"", StringComparison.Ordinal)
            && l.Contains("http_response_status_code=\"429\"", StringComparison.Ordinal) && l.Contains("model=\"sim-reasoning\"", StringComparison.Ordinal));
        Assert.Contains(lines, l => l.StartsWith("gen_ai_client_token_usage", StringComparison.Ordinal) && l.Contains("gen_ai_token_type=\"output\"", StringComparison.Ordinal));
    }

    private async Task<JsonElement> LineAsync(string request, Func<JsonElement, bool> which)
    {
        var line = await Wait.ForAsync(
            $"a log line of request {request}",
            () => Task.FromResult(application.App.GetResourceLogs("api")
                .Where(l => l.Contains($"\"request_id\":\"{request}\"", StringComparison.Ordinal))
                .FirstOrDefault(l => which(JsonElement.Parse(l)))),
            application,
            "api");
        return JsonElement.Parse(line);
    }
}
