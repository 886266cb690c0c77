using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using AiAspire.Integration.Jobs;
using AiAspire.Integration.Notifications;
using AiAspire.Load.Batches;
using static AiAspire.Integration.Batches.BatchChecks;

namespace AiAspire.Integration.Batches;

[Collection(ApplicationCollection.Name)]
public sealed class BatchTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "ARCH-01")]
    public async Task A_batch_through_the_official_sdk_answers_its_good_lines_in_order_and_tells_of_each_bad_one()
    {
        var run = new BatchRun(application.Api, application.DeveloperKey, TimeProvider.System);
        var file = BatchFile.Make(lines: 500, badEvery: 100, "sim-large");

        var outcome = await run.OutcomeAsync(await run.StartAsync(file.Content, ChatCompletions, Cancelled), Limit, Cancelled);

        Assert.Empty(outcome.Faults(file));
        Assert.Equal(
            ["invalid_json_line", "invalid_custom_id", "model_not_found", "empty_array", "invalid_json_line"],
            outcome.Errors.Select(l => l.GetProperty("error") is { ValueKind: JsonValueKind.Object } e ? e.GetProperty("code").GetString() : l.GetProperty("response").GetProperty("body").GetProperty("error").GetProperty("code").GetString()));
        Assert.Equal([404, 400], outcome.Errors.Where(l => l.GetProperty("response").ValueKind == JsonValueKind.Object).Select(l => l.GetProperty("response").GetProperty("status_code").GetInt32()));
        Assert.Equal("a test", outcome.Batch.GetProperty("metadata").GetProperty("of").GetString());
        await application.ChargedOnceAsync(outcome);
        await using var database = await application.OpenSuperuserAsync();
        var id = outcome.Id();
        Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.job_parts WHERE work_id = $1", id));
        Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.jobs WHERE part_of = $1", id));
        // Neither the jobs that did it nor five hundred conversations are the user's to see.
        using var client = application.Developer();
        var parts = await database.ListAsync("SELECT job_id FROM aiaspire.job_history WHERE part_of = $1", r => r.GetGuid(0), id);
        Assert.True(parts.Count > 20, $"only {parts.Count} jobs shared the work");
        var listed = await client.GetStringAsync("/v1/jobs?limit=100", Cancelled);
        Assert.DoesNotContain(parts, p => listed.Contains(p.ToString(), StringComparison.Ordinal));
        using var one = await client.GetAsync($"/v1/jobs/{parts[0]}", Cancelled);
        await one.ErrorAsync(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_cancelled_batch_finishes_what_it_has_begun_and_accounts_for_the_rest()
    {
        await using var slow = await application.BehaveAsync("sim-reasoning", new { latency = new { kind = "fixed", ms = 500 } });
        var run = new BatchRun(application.Api, application.DeveloperKey, TimeProvider.System);
        var file = BatchFile.Make(lines: 700, badEvery: 0, "sim-reasoning");
        var operation = await run.StartAsync(file.Content, ChatCompletions, Cancelled);
        await application.PartsAsync(operation.BatchId, 10);

        await operation.CancelAsync(new() { CancellationToken = Cancelled });
        // What has begun takes half a second more, or was just over.
        Assert.Contains((await BatchRun.StatusAsync(operation, Cancelled)).GetProperty("status").GetString(), new[] { "cancelling", "cancelled" });
        var outcome = await run.OutcomeAsync(operation, Limit, Cancelled);

        Assert.Equal("cancelled", outcome.Status);
        AssertWhole(outcome, file, "batch_cancelled");
        await application.ChargedOnceAsync(outcome);
        using var client = application.Developer();
        using var again = await client.PostAsync($"/v1/batches/{operation.BatchId}/cancel", null, Cancelled);
        Assert.Equal("cancelled", (await again.JsonAsync()).Status());
    }

    [Fact]
    public async Task A_batch_past_its_time_keeps_what_was_answered_and_tells_of_the_rest()
    {
        await using var slow = await application.BehaveAsync("sim-reasoning", new { latency = new { kind = "fixed", ms = 500 } });
        var run = new BatchRun(application.Api, application.DeveloperKey, TimeProvider.System);
        var file = BatchFile.Make(lines: 700, badEvery: 0, "sim-reasoning");
        var operation = await run.StartAsync(file.Content, ChatCompletions, Cancelled);
        await application.PartsAsync(operation.BatchId, 10);

        await using var database = await application.OpenSuperuserAsync();
        await database.ExecuteAsync("UPDATE aiaspire.batches SET expires_at = now() WHERE batch_id = $1", IdOf(operation.BatchId));
        var outcome = await run.OutcomeAsync(operation, Limit, Cancelled);

        Assert.Equal("expired", outcome.Status);
        AssertWhole(outcome, file, "batch_expired");
    }

    [Fact]
    public async Task A_line_waits_for_an_overloaded_provider_and_one_that_keeps_failing_gets_its_failure()
    {
        var run = new BatchRun(application.Api, application.DeveloperKey, TimeProvider.System);
        await using (await application.BehaveAsync("sim-reasoning", new { errorCount = 6, errorStatus = 429, retryAfterSeconds = 1 }))
        {
            var file = BatchFile.Make(lines: 3, badEvery: 0, "sim-reasoning");
            Assert.Empty((await run.OutcomeAsync(await run.StartAsync(file.Content, ChatCompletions, Cancelled), Limit, Cancelled)).Faults(file));
        }

        // What a provider refuses as the caller's fault is passed on as it came.
        await using (await application.BehaveAsync("sim-small", new { errorRates = new Dictionary<string, double> { ["400"] = 1 } }))
        {
            var refused = await run.OutcomeAsync(await run.StartAsync(BatchFile.Make(lines: 2, badEvery: 0, "sim-small").Content, ChatCompletions, Cancelled), Limit, Cancelled);
            Assert.Equal(("completed", 0, 2), (refused.Status, refused.Output.Count, refused.Errors.Count));
            Assert.All(refused.Errors, l => Assert.Equal(400, l.GetProperty("response").GetProperty("status_code").GetInt32()));
        }
    }

    [Fact]
    public async Task Embeddings_and_moderations_come_in_batches_too()
    {
        var run = new BatchRun(application.Api, application.DeveloperKey, TimeProvider.System);
        var embeddings = await run.OutcomeAsync(await run.StartAsync(Lines("/v1/embeddings", new { model = "sim-embedding", input = "hello" }), "/v1/embeddings", Cancelled), Limit, Cancelled);
        var moderations = await run.OutcomeAsync(await run.StartAsync(Lines("/v1/moderations", new { input = "hello" }), "/v1/moderations", Cancelled), Limit, Cancelled);

        Assert.True(Assert.Single(embeddings.Output).GetProperty("response").GetProperty("body").GetProperty("data")[0].GetProperty("embedding").GetArrayLength() > 1);
        Assert.False(Assert.Single(moderations.Output).GetProperty("response").GetProperty("body").GetProperty("results")[0].GetProperty("flagged").GetBoolean());
    }

    [Fact]
    public async Task A_file_without_requests_fails_the_batch_and_what_is_no_batch_is_refused()
    {
        var run = new BatchRun(application.Api, application.DeveloperKey, TimeProvider.System);
        var outcome = await run.OutcomeAsync(await run.StartAsync("\n \n"u8.ToArray(), ChatCompletions, Cancelled), Limit, Cancelled);
        Assert.Equal("failed", outcome.Status);
        var error = Assert.Single(outcome.Batch.GetProperty("errors").GetProperty("data").EnumerateArray());
        Assert.Equal(("empty_file", "input_file_id", JsonValueKind.Null), (error.GetProperty("code").GetString(), error.GetProperty("param").GetString(), error.GetProperty("line").ValueKind));
        Assert.Equal("list", outcome.Batch.GetProperty("errors").GetProperty("object").GetString());

        using var client = application.Developer();
        var file = await client.UploadAsync("{}"u8.ToArray());
        await RefusedAsync(new { endpoint = ChatCompletions, completion_window = "24h" }, HttpStatusCode.BadRequest, "input_file_id");
        await RefusedAsync(new { input_file_id = file, endpoint = "/v1/models", completion_window = "24h" }, HttpStatusCode.BadRequest, "endpoint");
        await RefusedAsync(new { input_file_id = file, endpoint = ChatCompletions, completion_window = "1h" }, HttpStatusCode.BadRequest, "completion_window");
        await RefusedAsync(new { input_file_id = file, endpoint = ChatCompletions, completion_window = "24h", metadata = new { x = new string('x', 513) } }, HttpStatusCode.BadRequest, "metadata");
        await RefusedAsync(new { input_file_id = $"file-{TimeProvider.System.NewId():N}", endpoint = ChatCompletions, completion_window = "24h" }, HttpStatusCode.NotFound, "input_file_id");

        async Task RefusedAsync(object body, HttpStatusCode status, string param)
        {
            using var response = await client.PostAsJsonAsync("/v1/batches", body, Cancelled);
            await response.ErrorAsync(status, param: param);
        }
    }

    [Fact]
    public async Task The_files_of_a_batch_are_kept_as_long_as_it_was_asked_for()
    {
        using var client = application.Developer();
        var file = await client.UploadAsync(Lines(ChatCompletions, Wire.Chat("say exactly: soon forgotten")));
        using var made = await client.PostAsJsonAsync("/v1/batches", Body(new { anchor = "created_at", seconds = 7200 }), Cancelled);
        var id = (await made.JsonAsync()).GetProperty("id").GetString();
        var output = await Wait.ForAsync(
            "the batch's output file", async () => (await client.GetFromJsonAsync<JsonElement>($"/v1/batches/{id}", Cancelled)).GetProperty("output_file_id").GetString(), application, "workers");

        var kept = await client.GetFromJsonAsync<JsonElement>($"/v1/files/{output}", Cancelled);
        Assert.Equal(7200, kept.GetProperty("expires_at").GetInt64() - kept.GetProperty("created_at").GetInt64());

        await RefusedAsync(new { anchor = "last_active_at", seconds = 7200 }, "output_expires_after.anchor");
        await RefusedAsync(new { anchor = "created_at", seconds = 3599 }, "output_expires_after.seconds");
        await RefusedAsync(new { anchor = "created_at" }, "output_expires_after.seconds");

        object Body(object expires) => new { input_file_id = file, endpoint = ChatCompletions, completion_window = "24h", output_expires_after = expires };

        async Task RefusedAsync(object expires, string param)
        {
            using var response = await client.PostAsJsonAsync("/v1/batches", Body(expires), Cancelled);
            await response.ErrorAsync(HttpStatusCode.BadRequest, param: param);
        }
    }

    [Fact]
    [Trait("Checklist", "ARCH-04")]
    public async Task A_key_makes_one_file_and_one_batch()
    {
        using var client = application.Client(application.Token("acme", $"keyed-{TimeProvider.System.NewId():N}"));
        var content = Lines(ChatCompletions, Wire.Chat("say exactly: once"));
        var (fileKey, batchKey) = (TimeProvider.System.NewId().ToString(), TimeProvider.System.NewId().ToString());
        var file = await client.UploadAsync(content, fileKey);
        Assert.Equal(file, await client.UploadAsync(content, fileKey));
        using (var other = await client.SendUploadAsync("{}"u8.ToArray(), fileKey))
            await other.ErrorAsync(HttpStatusCode.UnprocessableEntity, "idempotency_key_reused");
        Assert.Equal([file], (await client.GetFromJsonAsync<JsonElement>("/v1/files?purpose=batch", Cancelled)).Ids());

        var batches = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => CreateAsync()));
        Assert.Single(batches.OfType<string>().Distinct());
        var batch = await CreateAsync();
        Assert.Equal(batches.OfType<string>().First(), batch);
        Assert.Single((await client.GetFromJsonAsync<JsonElement>("/v1/batches", Cancelled)).Ids());
        await Wait.UntilAsync(
            "the batch to be over",
            async () => (await client.GetFromJsonAsync<JsonElement>($"/v1/batches/{batch}", Cancelled)).Status() == "completed",
            application,
            "workers");

        async Task<string?> CreateAsync()
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/batches") { Content = JsonContent.Create(new { input_file_id = file, endpoint = ChatCompletions, completion_window = "24h" }) };
            request.Headers.Add("Idempotency-Key", batchKey);
            using var response = await client.SendAsync(request, Cancelled);
            return response.StatusCode == HttpStatusCode.Conflict ? null : (await response.JsonAsync()).GetProperty("id").GetString();
        }
    }

    [Fact]
    public async Task The_end_of_a_batch_is_told_by_webhook_once_and_its_jobs_are_not()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await using var receiver = new WebhookReceiver();
        await tenant.PutAsync("notifications", new { emails = Array.Empty<string>(), webhooks = new object[] { new { url = receiver.Address, topics = new[] { "batch.completed", "job.completed", "job.failed" } } } });
        using var user = tenant.As("ann");
        var file = await user.UploadAsync(Lines(ChatCompletions, Wire.Chat("the secret word is xylophone")));
        using var made = await user.PostAsJsonAsync("/v1/batches", new { input_file_id = file, endpoint = ChatCompletions, completion_window = "24h" }, Cancelled);
        var id = (await made.JsonAsync()).GetProperty("id").GetString();

        var told = await receiver.NextAsync();

        var body = JsonElement.Parse(told.Body);
        Assert.Equal("batch.completed", body.GetProperty("type").GetString());
        var details = body.GetProperty("data").GetProperty("details");
        Assert.Equal((id, "completed", 1, 1), (details.GetProperty("id").GetString(), details.GetProperty("status").GetString(), details.GetProperty("total").GetInt32(), details.GetProperty("completed").GetInt32()));
        Assert.DoesNotContain("xylophone", told.Body, StringComparison.Ordinal);
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(1, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.notifications WHERE tenant_id = $1", tenant.Id));
    }

    /// <summary>Each line of the file stands in one of the two files; what was not made says why.</summary>
    private static void AssertWhole(BatchOutcome outcome, BatchFile file, string code)
    {
        Assert.True(outcome.Output.Count >= 10, $"only {outcome.Output.Count} were answered");
        Assert.True(outcome.Errors.Count > 0, "nothing was left to be stopped: nothing was tested");
        Assert.All(outcome.Errors, l => Assert.Equal((JsonValueKind.Null, code), (l.GetProperty("response").ValueKind, l.GetProperty("error").GetProperty("code").GetString())));
        Assert.Equal(file.Answers.Keys.Order(StringComparer.Ordinal), outcome.Output.Concat(outcome.Errors).Select(l => l.GetProperty("custom_id").GetString()!).Order(StringComparer.Ordinal));
        var counts = outcome.Batch.GetProperty("request_counts");
        Assert.Equal((file.Lines, outcome.Output.Count, outcome.Errors.Count), (counts.GetProperty("total").GetInt32(), counts.GetProperty("completed").GetInt32(), counts.GetProperty("failed").GetInt32()));
    }
}
