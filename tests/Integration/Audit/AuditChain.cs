using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.AppHost;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Audit;

/// <summary>A tenant of its own, whose chain a test may spoil.</summary>
internal sealed class AuditChain : IDisposable
{
    private readonly RunningApplication _application;

    private AuditChain(RunningApplication application, Guid tenantId, string slug)
    {
        _application = application;
        TenantId = tenantId;
        Slug = slug;
        Auditor = application.Client(application.Token(slug, "auditor", "auditor"));
    }

    public Guid TenantId { get; }

    public string Slug { get; }

    public HttpClient Auditor { get; }

    public static async Task<AuditChain> CreateAsync(RunningApplication application)
    {
        var id = Guid.CreateVersion7(TimeProvider.System.GetUtcNow());
        var slug = $"audit-{id:n}";
        await using var superuser = await application.OpenSuperuserAsync();
        await superuser.ExecuteAsync(
            "INSERT INTO aiaspire.tenants (tenant_id, slug, name, plan, status, retention_days, created_at) VALUES ($1, $2, $2, 'test', 'Active', 90, now())", id, slug);
        return new AuditChain(application, id, slug);
    }

    /// <summary>An export is audited, so it makes an entry.</summary>
    public async Task<List<JsonElement>> ExportAsync()
    {
        using var response = await Auditor.GetAsync("/v1/audit/export", TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("application/jsonl", response.Content.Headers.ContentType?.MediaType);
        var text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        return [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonElement.Parse(line))];
    }

    public async Task GrowAsync(int entries)
    {
        for (var i = 0; i < entries; i++)
            await ExportAsync();
    }

    private string HeadsFile => Path.Combine(Path.GetDirectoryName(DevelopmentSecrets.In(_application.App.DataFolder).MasterKeyFile)!, "audit-heads.jsonl");

    /// <summary>Takes this chain's lines out of the heads file, or puts them back.</summary>
    /// <returns>The lines that were taken out.</returns>
    public async Task<string[]> EditHeadsAsync(string[]? putBack = null)
    {
        string[] mine = [];
        await Wait.UntilAsync(
            "the heads file to be free",
            async () =>
            {
                try
                {
                    await using var file = new FileStream(HeadsFile, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
                    using var reader = new StreamReader(file, leaveOpen: true);
                    var lines = (await reader.ReadToEndAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
                    mine = [.. lines.Where(l => l.Contains(TenantId.ToString(), StringComparison.Ordinal))];
                    var kept = lines.Except(mine, StringComparer.Ordinal).Concat(putBack ?? []);
                    file.SetLength(0);
                    await using var writer = new StreamWriter(file);
                    foreach (var line in kept)
                        await writer.WriteAsync(line + "\n");
                    return true;
                }
                catch (IOException)
                {
                    // A replica is writing; tried again.
                    return false;
                }
            },
            _application,
            "api");
        return mine;
    }

    /// <summary>Waits until a head of at least this sequence is signed outside the database.</summary>
    public Task SignedAsync(long sequence) => Wait.UntilAsync(
        $"a signed head of {Slug} at {sequence}",
        async () =>
        {
            var file = HeadsFile;
            if (!File.Exists(file))
                return false;
            await using var stream = OpenShared(file);
            if (stream is null)
                return false;
            using var reader = new StreamReader(stream);
            return (await reader.ReadToEndAsync()).Split('\n')
                .Where(line => line.Contains(TenantId.ToString(), StringComparison.Ordinal) && line.EndsWith('}'))
                .Any(line => JsonElement.Parse(line).GetProperty("sequence").GetInt64() >= sequence);
        },
        _application,
        "api");

    public async Task<JsonElement> VerifyAsync()
    {
        using var response = await Auditor.PostAsync("/v1/audit/verify", null, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return await response.JsonAsync();
    }

    public async Task FindAsync(string fault, long sequence)
    {
        var found = await VerifyAsync();
        Assert.False(found.GetProperty("intact").GetBoolean(), $"'{fault}' at {sequence} was not found: {found.GetRawText()}");
        Assert.Equal((fault, sequence), (found.GetProperty("fault").GetString(), found.GetProperty("first_bad_sequence").GetInt64()));
    }

    public void Dispose() => Auditor.Dispose();

    private static FileStream? OpenShared(string file)
    {
        try
        {
            return new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        }
        catch (IOException)
        {
            // A replica is writing; asked again.
            return null;
        }
    }
}
