using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using AiAspire.Integration.Application;
using AiAspire.Load.Batches;
using Npgsql;
using OpenAI.Files;

namespace AiAspire.Integration.Batches;

/// <summary>A file may have 4,000,000 bytes here, all files of a user 16,000,000, any other request 2,000,000.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class FileTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "AUTH-06")]
    [Trait("Checklist", "PRIV-09")]
    public async Task A_file_goes_in_and_out_unchanged_stands_in_the_database_as_ciphertext_and_is_its_users_alone()
    {
        var name = $"canary-{RandomNumberGenerator.GetHexString(16, lowercase: true)}.jsonl";
        var content = Encoding.UTF8.GetBytes(string.Join('\n', Enumerable.Range(0, 90_000).Select(i => $"{name} line {i}")))[..3_000_000];
        using var owner = application.Client(application.Token("acme", "filer"));
        using var uploaded = await owner.SendUploadAsync(content, name: name);
        var file = await uploaded.JsonAsync();
        var id = file.GetProperty("id").GetString()!;

        Assert.Equal(
            ("file", 3_000_000, name, "batch", "processed"),
            (file.GetProperty("object").GetString(), file.GetProperty("bytes").GetInt32(), file.GetProperty("filename").GetString(), file.GetProperty("purpose").GetString(), file.GetProperty("status").GetString()));
        Assert.Equal(file.GetProperty("created_at").GetInt64() + (30 * 24 * 3600), file.GetProperty("expires_at").GetInt64());
        Assert.Equal(content, await owner.GetByteArrayAsync($"/v1/files/{id}/content", Cancelled));
        await using var database = await application.OpenSuperuserAsync();
        var fileId = Guid.ParseExact(id["file-".Length..], "N");
        var chunks = await database.ListAsync("SELECT data FROM aiaspire.file_chunks WHERE file_id = $1", r => r.GetFieldValue<byte[]>(0), fileId);
        Assert.Equal(12, chunks.Count);
        Assert.All(chunks, chunk => Assert.Equal(-1, chunk.AsSpan().IndexOf("canary"u8)));
        Assert.Equal(-1, (await database.ScalarAsync<byte[]>("SELECT name FROM aiaspire.files WHERE file_id = $1", fileId)).AsSpan().IndexOf("canary"u8));

        foreach (var credential in new[] { application.Token("acme", "bob"), application.UserKey("carol") })
        {
            using var stranger = application.Client(credential);
            foreach (var path in new[] { $"/v1/files/{id}", $"/v1/files/{id}/content" })
            {
                using var hidden = await stranger.GetAsync(path, Cancelled);
                await hidden.ErrorAsync(HttpStatusCode.NotFound, "not_found");
            }

            using var spared = await stranger.DeleteAsync($"/v1/files/{id}", Cancelled);
            await spared.ErrorAsync(HttpStatusCode.NotFound, "not_found");
            using var batch = await stranger.PostAsJsonAsync("/v1/batches", new { input_file_id = id, endpoint = "/v1/chat/completions", completion_window = "24h" }, Cancelled);
            await batch.ErrorAsync(HttpStatusCode.NotFound, "not_found", "input_file_id");
            Assert.DoesNotContain(id, (await stranger.GetFromJsonAsync<JsonElement>("/v1/files", Cancelled)).Ids());
        }

        using var deleted = await owner.DeleteAsync($"/v1/files/{id}", Cancelled);
        Assert.True((await deleted.JsonAsync()).GetProperty("deleted").GetBoolean());
        using var gone = await owner.GetAsync($"/v1/files/{id}", Cancelled);
        await gone.ErrorAsync(HttpStatusCode.NotFound, "not_found");
        Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.file_chunks WHERE file_id = $1", fileId));
        Assert.Equal(1, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.audit_entries WHERE action = 'file.deleted' AND target_id = $1", id));
    }

    [Fact]
    public async Task What_is_no_upload_is_refused_and_leaves_nothing()
    {
        var user = $"refused-{RandomNumberGenerator.GetHexString(8, lowercase: true)}";
        using var client = application.Client(application.Token("acme", user));
        var large = new byte[4_000_001];
        foreach (var chunked in new[] { false, true })
        {
            using var refused = await client.SendUploadAsync(large, chunked: chunked);
            var error = await refused.ErrorAsync(HttpStatusCode.RequestEntityTooLarge, "file_too_large", "file");
            Assert.Contains("4000000", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        }

        using (var purpose = await client.SendUploadAsync("{}"u8.ToArray(), purpose: "assistants"))
            await purpose.ErrorAsync(HttpStatusCode.BadRequest, param: "purpose");
        using (var empty = await client.SendUploadAsync([]))
            await empty.ErrorAsync(HttpStatusCode.BadRequest, "empty_file", "file");
        using (var json = await client.PostAsJsonAsync("/v1/files", new { purpose = "batch" }, Cancelled))
            await json.ErrorAsync(HttpStatusCode.UnsupportedMediaType);
        using (var cut = new StringContent("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\nabc", Encoding.UTF8))
        {
            cut.Headers.ContentType = System.Net.Http.Headers.MediaTypeHeaderValue.Parse("multipart/form-data; boundary=b");
            using var response = await client.PostAsync("/v1/files", cut, Cancelled);
            await response.ErrorAsync(HttpStatusCode.BadRequest);
        }

        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.files JOIN aiaspire.users USING (tenant_id, user_id) WHERE external_id = $1", user));
        Assert.Empty((await client.GetFromJsonAsync<JsonElement>("/v1/files", Cancelled)).Ids());
    }

    [Fact]
    public async Task Uploads_at_once_come_to_no_more_together_than_a_users_files_may_have()
    {
        using var client = application.Client(application.Token("acme", $"hoarder-{RandomNumberGenerator.GetHexString(8, lowercase: true)}"));

        var uploads = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => client.SendUploadAsync(new byte[3_000_000])));

        // Five have fifteen million bytes together; a sixth has no room.
        Assert.Equal(5, uploads.Count(u => u.StatusCode == HttpStatusCode.OK));
        foreach (var refused in uploads.Where(u => u.StatusCode != HttpStatusCode.OK))
            await refused.ErrorAsync(HttpStatusCode.RequestEntityTooLarge, "storage_full", "file");
        var ids = (await client.GetFromJsonAsync<JsonElement>("/v1/files", Cancelled)).Ids().ToList();
        Assert.Equal(5, ids.Count);
        // What there is room for is taken, and so is anything once there is room again.
        await client.UploadAsync(new byte[1_000_000]);
        using (var full = await client.SendUploadAsync(new byte[1]))
            await full.ErrorAsync(HttpStatusCode.RequestEntityTooLarge, "storage_full", "file");
        (await client.DeleteAsync($"/v1/files/{ids[0]}", Cancelled)).Dispose();
        await client.UploadAsync(new byte[3_000_000]);
        foreach (var upload in uploads)
            upload.Dispose();
    }

    /// <summary>The race that the test above may win: the second is sealed when the first is, and not committed.</summary>
    [Fact]
    public async Task A_file_is_sealed_only_when_what_its_user_seals_beside_it_is_counted()
    {
        using var client = application.Client(application.Token("acme", $"sealer-{RandomNumberGenerator.GetHexString(8, lowercase: true)}"));
        var known = Guid.ParseExact((await client.UploadAsync(new byte[1]))["file-".Length..], "N");
        await using var superuser = await application.OpenSuperuserAsync();
        var (tenant, user) = Assert.Single(await superuser.ListAsync("SELECT tenant_id, user_id FROM aiaspire.files WHERE file_id = $1", r => (r.GetGuid(0), r.GetGuid(1)), known));
        Guid[] files = [Guid.CreateVersion7(TimeProvider.System.GetUtcNow()), Guid.CreateVersion7(TimeProvider.System.GetUtcNow())];
        await superuser.ExecuteAsync(
            """
            INSERT INTO aiaspire.files (tenant_id, user_id, file_id, purpose, name, bytes, is_ready, created_at, expires_at)
            SELECT tenant_id, user_id, unnest($2), purpose, name, 0, false, created_at, expires_at FROM aiaspire.files WHERE file_id = $1
            """,
            known, files);
        await using var one = await application.OpenAsAsync("aiaspire_app");
        await using var other = await application.OpenAsAsync("aiaspire_app");
        await using var first = await one.BeginTransactionAsync(Cancelled);
        await SealAsync(one, files[0]);
        await using var second = await other.BeginTransactionAsync(Cancelled);

        var sealing = SealAsync(other, files[1]);
        await Wait.UntilAsync(
            "the second seal to wait or to be done",
            async () => sealing.IsCompleted || await superuser.ScalarAsync<bool>("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)", other.ProcessID),
            application,
            "api");
        await first.CommitAsync(Cancelled);

        var refused = await Assert.ThrowsAsync<PostgresException>(() => sealing);
        Assert.Equal("AI004", refused.SqlState);
        await superuser.ExecuteAsync("DELETE FROM aiaspire.files WHERE file_id = ANY ($1)", files);

        // With the one byte there is, one of six has room within ten.
        async Task SealAsync(NpgsqlConnection connection, Guid file)
        {
            await connection.ExecuteAsync("SELECT set_config('app.tenant_id', $1, true), set_config('app.user_id', $2, true), set_config('app.reach', 'user', true)", tenant.ToString(), user.ToString());
            await connection.ExecuteAsync("SELECT aiaspire.seal_file($1, $2, $3, 6, NULL, 10)", tenant, user, file);
        }
    }

    [Fact]
    public async Task Files_are_listed_in_pages_also_by_the_sdk_and_those_whose_time_is_over_go()
    {
        using var client = application.Client(application.Token("acme", $"lister-{RandomNumberGenerator.GetHexString(8, lowercase: true)}"));
        var ids = new List<string>();
        for (var i = 0; i < 3; i++)
            ids.Add(await client.UploadAsync("{}"u8.ToArray()));
        Assert.Equal(ids.AsEnumerable().Reverse(), await IdsAsync("/v1/files"));
        Assert.Equal([ids[2], ids[1]], await IdsAsync("/v1/files?limit=2"));
        Assert.Equal([ids[0]], await IdsAsync($"/v1/files?limit=2&after={ids[1]}"));
        Assert.Equal([ids[1], ids[2]], await IdsAsync($"/v1/files?order=asc&after={ids[0]}"));
        Assert.Empty(await IdsAsync("/v1/files?purpose=batch_output"));
        using var wrong = await client.GetAsync("/v1/files?order=up", Cancelled);
        await wrong.ErrorAsync(HttpStatusCode.BadRequest, param: "order");

        await using var database = await application.OpenSuperuserAsync();
        var old = Guid.ParseExact(ids[0]["file-".Length..], "N");
        await database.ExecuteAsync("UPDATE aiaspire.files SET expires_at = now() WHERE file_id = $1", old);
        Assert.Equal([ids[2], ids[1]], await IdsAsync("/v1/files"));
        await Wait.UntilAsync(
            "retention to delete the file", async () => await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.files WHERE file_id = $1", old) == 0, application, "workers");
        Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.file_chunks WHERE file_id = $1", old));

        var sdk = new BatchRun(application.Api, application.DeveloperKey, TimeProvider.System).Files;
        OpenAIFile made = await sdk.UploadFileAsync(BinaryData.FromString("{}"), "sdk.jsonl", FileUploadPurpose.Batch);
        Assert.Equal(("sdk.jsonl", 2L, FilePurpose.Batch), (made.Filename, made.SizeInBytesLong!.Value, made.Purpose));
        Assert.Contains((await sdk.GetFilesAsync(FilePurpose.Batch, Cancelled)).Value, f => f.Id == made.Id);
        Assert.True((await sdk.DeleteFileAsync(made.Id, Cancelled)).Value.Deleted);

        async Task<IEnumerable<string>> IdsAsync(string path) => (await client.GetFromJsonAsync<JsonElement>(path, Cancelled)).Ids();
    }
}
