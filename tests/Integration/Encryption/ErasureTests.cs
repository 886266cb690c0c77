using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using AiAspire.AppHost;
using AiAspire.Core.Audit;
using AiAspire.Core.Encryption;
using AiAspire.Integration.Application;
using AiAspire.Integration.Batches;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Integration.Encryption;

/// <summary>The right to be forgotten, carried out on the running system and held against its backups.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class ErasureTests(RunningApplication application) : IDisposable
{
    private readonly DirectoryInfo _backups = Directory.CreateTempSubdirectory("aiaspire-backups-");

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _backups.Delete(recursive: true);

    [Fact]
    [Trait("Checklist", "PRIV-04")]
    [Trait("Checklist", "PRIV-09")]
    public async Task Destroying_a_users_key_erases_the_live_rows_and_the_backups_and_a_restored_key_store_does_not_bring_it_back()
    {
        var contentBackup = Path.Combine(_backups.FullName, "content.dump");
        var keyStoreBackup = Path.Combine(_backups.FullName, "keystore.dump");
        var content = (await application.App.GetConnectionStringAsync("aiaspire"))!;
        var keyStore = (await application.App.GetConnectionStringAsync("keystore"))!;
        await using var live = await application.OpenSuperuserAsync();
        var tools = await PostgresTools.ForAsync(live);
        var erased = await WriteAsync(live, "erased");
        var neighbour = await WriteAsync(live, "neighbour");

        // Backups from before the erasure, and what they show: ciphertext.
        await tools.DumpAsync(content, contentBackup);
        await tools.DumpAsync(keyStore, keyStoreBackup);
        await DumpWithoutCanariesAsync(tools, keyStore, [erased, neighbour]);
        var contentText = await DumpWithoutCanariesAsync(tools, content, [erased, neighbour]);
        Assert.Contains(Convert.ToHexStringLower((await MessagesAsync(live, erased))[0].Content), contentText, StringComparison.Ordinal);

        // Until then the key opens the live rows, on the api and on any other replica.
        await using var replica = await ReplicaAsync(keyStore: null);
        await replica.StartAsync();
        Assert.Contains(erased.Canary, await DecryptAsync(replica, live, erased), StringComparison.Ordinal);

        await using (var eraser = await ReplicaAsync(keyStore: null))
            await eraser.Users.DestroyAsync(erased.TenantId, erased.UserId, AuditActor.System, Cancelled);

        // Told, not timed out: well before the cache's minute is over, and not only where the key was destroyed.
        await Wait.UntilAsync("the api to forget the key", async () => (await ReadAsync(erased)).Status == HttpStatusCode.Gone, application, "api", TimeSpan.FromSeconds(10));
        await Wait.UntilAsync("the other replica to forget the key", () => IsDestroyedAsync(replica, erased), application, "api", TimeSpan.FromSeconds(10));
        Assert.DoesNotContain(erased.Canary, (await ReadAsync(erased)).Text, StringComparison.Ordinal);
        Assert.Contains(neighbour.Canary, (await ReadAsync(neighbour)).Text, StringComparison.Ordinal);

        // The content backup, restored on a fresh server: the rows are there and stay closed; the neighbour's open.
        await using var fresh = await FreshServer.StartAsync(tools.Binaries, await RolesAsync(live));
        await tools.RestoreAsync(await fresh.CreateDatabaseAsync("content"), contentBackup);
        await using var restored = await fresh.OpenAsync("content");
        var neighbourCipher = await replica.Users.GetAsync(neighbour.TenantId, neighbour.UserId, Cancelled);
        var rows = await MessagesAsync(restored, erased);
        Assert.Equal(2, rows.Count);
        await Assert.ThrowsAsync<UserKeyDestroyedException>(async () => await DecryptAsync(replica, restored, erased));
        Assert.All(rows, row => Assert.ThrowsAny<CryptographicException>(() => neighbourCipher.Decrypt(row.Content, row.Place)));
        Assert.Contains(neighbour.Canary, await DecryptAsync(replica, restored, neighbour), StringComparison.Ordinal);

        // The old key-store backup holds the key. Restored without its tombstones it would undo the erasure…
        await tools.RestoreAsync(await fresh.CreateDatabaseAsync("oldkeys"), keyStoreBackup);
        var oldKeys = fresh.ConnectionString("oldkeys", "aiaspire_keys");
        await using (var careless = await ReplicaAsync(oldKeys))
            Assert.Contains(erased.Canary, await DecryptAsync(careless, restored, erased), StringComparison.Ordinal);

        // …so whatever starts over it replays them first, and the key is gone again.
        await using var careful = await ReplicaAsync(oldKeys);
        await careful.StartAsync();
        await using var oldKeyStore = await fresh.OpenAsync("oldkeys");
        Assert.Equal(0, await oldKeyStore.ScalarAsync<long>("SELECT count(*) FROM keystore.user_keys WHERE user_id = $1", erased.UserId));
        Assert.Equal(1, await oldKeyStore.ScalarAsync<long>("SELECT count(*) FROM keystore.tombstones WHERE user_id = $1", erased.UserId));
        await Assert.ThrowsAsync<UserKeyDestroyedException>(async () => await DecryptAsync(careful, restored, erased));
        Assert.Contains(neighbour.Canary, await DecryptAsync(careful, restored, neighbour), StringComparison.Ordinal);
        Assert.Equal(0, await careful.ReplayAsync());
    }

    [Fact]
    [Trait("Checklist", "PRIV-09")]
    public async Task An_erased_user_gets_no_new_key_and_erasing_may_be_repeated()
    {
        await using var live = await application.OpenSuperuserAsync();
        var author = await WriteAsync(live, "repeated");
        await using var replica = await ReplicaAsync(keyStore: null);
        await replica.Users.DestroyAsync(author.TenantId, author.UserId, AuditActor.System, Cancelled);
        await replica.Users.DestroyAsync(author.TenantId, author.UserId, AuditActor.System, Cancelled);

        await Assert.ThrowsAsync<UserKeyDestroyedException>(async () => await replica.Users.GetAsync(author.TenantId, author.UserId, Cancelled));
        await Assert.ThrowsAsync<UserKeyDestroyedException>(() => replica.Rotation.RotateUserKeyAsync(author.TenantId, author.UserId, AuditActor.System, Cancelled));
        await using var keys = await application.OpenSuperuserAsync("keystore");
        Assert.Equal(0, await keys.ScalarAsync<long>("SELECT count(*) FROM keystore.user_keys WHERE user_id = $1", author.UserId));
    }

    [Fact]
    [Trait("Checklist", "PRIV-09")]
    public async Task An_erasure_whose_tombstone_cannot_be_written_does_not_happen()
    {
        await using var live = await application.OpenSuperuserAsync();
        var author = await WriteAsync(live, "kept");
        var notAFolder = Path.Combine(_backups.FullName, "file");
        await File.WriteAllTextAsync(notAFolder, "", Cancelled);
        await using var replica = await ReplicaAsync(keyStore: null, ("TombstonesPath", Path.Combine(notAFolder, "tombstones.jsonl")));
        await Assert.ThrowsAnyAsync<IOException>(() => replica.Users.DestroyAsync(author.TenantId, author.UserId, AuditActor.System, Cancelled));
        await using var without = await ReplicaAsync(keyStore: null, ("TombstonesPath", null));
        await Assert.ThrowsAsync<InvalidOperationException>(() => without.Users.DestroyAsync(author.TenantId, author.UserId, AuditActor.System, Cancelled));

        Assert.Contains(author.Canary, await DecryptAsync(replica, live, author), StringComparison.Ordinal);
    }

    private async Task<Author> WriteAsync(NpgsqlConnection live, string name)
    {
        var externalId = $"{name}-{RandomNumberGenerator.GetHexString(8, lowercase: true)}";
        var canary = $"canary-{RandomNumberGenerator.GetHexString(16, lowercase: true)}";
        using var client = application.Client(application.Token("acme", externalId));
        using var answer = await client.ChatAsync($"remember {canary}");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        using var job = await client.PostAsJsonAsync("/v1/jobs", new { request = Wire.Chat(canary) }, Cancelled);
        Assert.True(job.IsSuccessStatusCode);
        var jobId = (await job.JsonAsync()).GetProperty("id").GetString();
        await Wait.UntilAsync(
            "the job to end",
            async () => (await client.GetFromJsonAsync<JsonElement>($"/v1/jobs/{jobId}", Cancelled)).GetProperty("status").GetString() == "succeeded",
            application,
            "workers");
        var line = new { custom_id = canary, method = "POST", url = "/v1/chat/completions", body = Wire.Chat(canary) };
        var file = await client.UploadAsync(JsonSerializer.SerializeToUtf8Bytes(line));
        using var batch = await client.PostAsJsonAsync("/v1/batches", new { input_file_id = file, endpoint = line.url, completion_window = "24h", metadata = new { canary } }, Cancelled);
        var batchId = (await batch.JsonAsync()).GetProperty("id").GetString();
        await Wait.UntilAsync(
            "the batch to end",
            async () => (await client.GetFromJsonAsync<JsonElement>($"/v1/batches/{batchId}", Cancelled)).GetProperty("status").GetString() == "completed",
            application,
            "workers");
        using var feedback = await client.PostAsJsonAsync(
            "/v1/feedback", new { request_id = answer.Header("x-request-id"), rating = 5, comment = canary }, Cancelled);
        Assert.True(feedback.IsSuccessStatusCode, await feedback.Content.ReadAsStringAsync(Cancelled));
        var conversation = Guid.Parse(answer.Header("x-aiaspire-conversation"));
        var (tenant, user) = (await live.ListAsync(
            "SELECT tenant_id, user_id FROM aiaspire.users WHERE external_id = $1", row => (row.GetGuid(0), row.GetGuid(1)), externalId)).Single();
        return new Author(tenant, user, externalId, conversation, canary);
    }

    private async Task<(HttpStatusCode Status, string Text)> ReadAsync(Author author)
    {
        using var client = application.Client(application.Token("acme", author.ExternalId));
        using var response = await client.GetAsync($"/v1/conversations/{author.ConversationId}/messages", Cancelled);
        return (response.StatusCode, await response.Content.ReadAsStringAsync(Cancelled));
    }

    private static async Task<List<(ContentPlace Place, byte[] Content)>> MessagesAsync(NpgsqlConnection database, Author author)
        => await database.ListAsync(
            "SELECT message_id, content FROM aiaspire.messages WHERE conversation_id = $1",
            row => (new ContentPlace("messages", "content", row.GetGuid(0)), row.GetFieldValue<byte[]>(1)),
            author.ConversationId);

    private static async Task<string> DecryptAsync(KeyStoreReplica replica, NpgsqlConnection database, Author author)
    {
        var cipher = await replica.Users.GetAsync(author.TenantId, author.UserId, Cancelled);
        return string.Concat((await MessagesAsync(database, author)).Select(m => Encoding.UTF8.GetString(cipher.Decrypt(m.Content, m.Place))));
    }

    private static async Task<bool> IsDestroyedAsync(KeyStoreReplica replica, Author author)
    {
        try
        {
            await replica.Users.GetAsync(author.TenantId, author.UserId, Cancelled);
            return false;
        }
        catch (UserKeyDestroyedException)
        {
            return true;
        }
    }

    /// <summary>The canaries are there neither as text, nor in the hex that a dump writes bytes in, nor in base64; the users' ids are.</summary>
    private async Task<string> DumpWithoutCanariesAsync(PostgresTools tools, string database, IReadOnlyList<Author> authors)
    {
        var file = Path.Combine(_backups.FullName, "dump.sql");
        await tools.DumpTextAsync(database, file);
        var text = await File.ReadAllTextAsync(file, Cancelled);
        foreach (var author in authors)
        {
            Assert.Contains(author.UserId.ToString(), text, StringComparison.Ordinal);
            foreach (var form in new[] { author.Canary, Convert.ToHexStringLower(Encoding.UTF8.GetBytes(author.Canary)), Base64Core(author.Canary) })
                Assert.False(text.Contains(form, StringComparison.OrdinalIgnoreCase), $"A dump of {new NpgsqlConnectionStringBuilder(database).Database} holds the canary as {form}.");
        }

        return text;
    }

    private static string Base64Core(string canary) => Convert.ToBase64String(Encoding.UTF8.GetBytes(canary)).TrimEnd('=')[..^2];

    private static Task<List<string>> RolesAsync(NpgsqlConnection live)
        => live.ListAsync("SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'aiaspire\\_%' OR rolname LIKE 'test\\_%'", row => row.GetString(0));

    /// <summary>A replica with the running system's master key and tombstones, over its key store or another.</summary>
    private async Task<KeyStoreReplica> ReplicaAsync(string? keyStore, params (string Key, string? Value)[] settings)
    {
        var secrets = DevelopmentSecrets.In(application.App.DataFolder);
        if (keyStore is null)
        {
            await using var made = await application.OpenAsAsync("aiaspire_keys", "keystore");
            keyStore = new NpgsqlConnectionStringBuilder(await application.App.GetConnectionStringAsync("keystore"))
            {
                Username = "test_aiaspire_keys",
                Password = "test",
            }.ConnectionString;
        }

        return new KeyStoreReplica(await AuditAsync(), keyStore, [("MasterKeyFile", secrets.MasterKeyFile), ("TombstonesPath", secrets.TombstonesFile), .. settings]);
    }

    /// <summary>The content database as the processes reach it.</summary>
    private async Task<string> AuditAsync()
    {
        await using var made = await application.OpenAsAsync("aiaspire_app");
        return new NpgsqlConnectionStringBuilder(await application.App.GetConnectionStringAsync("aiaspire")) { Username = "test_aiaspire_app", Password = "test" }.ConnectionString;
    }

    private sealed record Author(Guid TenantId, Guid UserId, string ExternalId, Guid ConversationId, string Canary);
}
