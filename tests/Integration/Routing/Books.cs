using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Routing;

/// <summary>The ledger beside the companies' bills, after a fault.</summary>
internal static class Books
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>Every call the companies billed has its attempt row; where a provider's report was taken, it is the bill to the token; nothing is left open.</summary>
    public static async Task AssertTrueAsync(RunningApplication application)
    {
        await using var database = await application.OpenSuperuserAsync();
        await Wait.UntilAsync(
            "all attempts to be settled",
            async () => await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_attempts WHERE outcome = 'Open'") == 0,
            application,
            "api");
        var attempts = (await database.ListAsync(
            "SELECT attempt_id, usage_source, input_tokens + cached_input_tokens + cache_write_tokens, output_tokens FROM aiaspire.ledger_attempts",
            row => (Id: row.GetGuid(0), Source: row.GetString(1), Input: row.GetInt64(2), Output: row.GetInt64(3)))).ToDictionary(a => a.Id);
        foreach (var company in new[] { "sim-openai", "sim-anthropic" })
        {
            using var simulator = application.App.CreateHttpClient(company);
            var bill = await simulator.GetFromJsonAsync<JsonElement>("/control/bill?limit=200000", Cancelled);
            foreach (var line in bill.GetProperty("lines").EnumerateArray().Where(l => l.GetProperty("billed").GetBoolean()))
            {
                Assert.True(attempts.TryGetValue(line.GetProperty("clientRequestId").GetGuid(), out var attempt), $"the bill's line {line} has no attempt");
                var tokens = line.GetProperty("tokens");
                if (attempt.Source != "Provider")
                    continue;
                var input = tokens.GetProperty("input").GetInt64() + tokens.GetProperty("cachedInput").GetInt64() + tokens.GetProperty("cacheWrite").GetInt64();
                Assert.Equal((input, tokens.GetProperty("output").GetInt64()), (attempt.Input, attempt.Output));
            }
        }
    }

    /// <summary>The request's outcome in the ledger; null when no provider was called.</summary>
    public static async Task<string?> OutcomeAsync(RunningApplication application, Guid request)
    {
        await using var database = await application.OpenSuperuserAsync();
        return (await database.ListAsync("SELECT outcome FROM aiaspire.ledger_requests WHERE request_id = $1", r => r.GetString(0), request)).SingleOrDefault();
    }
}
