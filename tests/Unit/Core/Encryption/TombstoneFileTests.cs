using System.Security.Cryptography;
using AiAspire.Core.Encryption;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace AiAspire.Unit.CoreTests.Encryption;

[Trait("Checklist", "PRIV-09")]
public sealed class TombstoneFileTests : IDisposable
{
    private static readonly DateTimeOffset At = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory();
    private readonly LocalMasterKey _master = new(RandomNumberGenerator.GetBytes(32));

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string FilePath => Path.Combine(_folder.FullName, "tombstones.jsonl");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task What_is_appended_is_read_by_another_process_and_more_can_follow()
    {
        await Open().AppendAsync([Number(1)], Cancelled);
        await Open().AppendAsync([Number(2), Number(3)], Cancelled);
        var later = Open();
        await later.ReadAsync(Cancelled);
        await later.AppendAsync([Number(4)], Cancelled);

        Assert.Equal([Number(1), Number(2), Number(3), Number(4)], (await Open().ReadAsync(Cancelled)).OrderBy(t => t.UserId));
        Assert.Equal(2, (await File.ReadAllLinesAsync(FilePath, Cancelled)).Count(l => l.Contains("wrapped", StringComparison.Ordinal)));
        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(FilePath));
    }

    [Fact]
    public async Task Many_at_once_lose_no_line()
    {
        await Parallel.ForAsync(0, 40, Cancelled, async (i, cancelled) => await Open().AppendAsync([Number(i)], cancelled));

        Assert.Equal(40, (await Open().ReadAsync(Cancelled)).Count);
    }

    [Theory]
    [InlineData("user_id")]
    [InlineData("tenant_id")]
    [InlineData("destroyed_at")]
    public async Task A_changed_line_is_refused_and_named(string field)
    {
        await Open().AppendAsync([Number(1), Number(2)], Cancelled);
        var lines = await File.ReadAllLinesAsync(FilePath, Cancelled);
        var at = lines[1].IndexOf($"\"{field}\":\"", StringComparison.Ordinal) + field.Length + 4;
        lines[1] = $"{lines[1][..at]}{(lines[1][at] == '1' ? '3' : '1')}{lines[1][(at + 1)..]}";
        await File.WriteAllLinesAsync(FilePath, lines, Cancelled);

        var refusal = await Assert.ThrowsAsync<InvalidOperationException>(() => Open().ReadAsync(Cancelled));
        Assert.Contains("Line 2", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("not json\n")]
    [InlineData("{\"mac_key\":\"0011223344556677\",\"tenant_id\":\"0190a000-0000-7000-8000-000000000001\"}\n")]
    [InlineData("\n")]
    public async Task A_line_that_nobody_of_us_wrote_is_refused(string line)
    {
        await Open().AppendAsync([Number(1)], Cancelled);
        await File.AppendAllTextAsync(FilePath, line, Cancelled);

        await Assert.ThrowsAsync<InvalidOperationException>(() => Open().ReadAsync(Cancelled));
    }

    [Fact]
    public async Task A_line_cut_short_by_a_crash_is_left_out_and_overwritten()
    {
        await Open().AppendAsync([Number(1), Number(2)], Cancelled);
        var bytes = await File.ReadAllBytesAsync(FilePath, Cancelled);
        await File.WriteAllBytesAsync(FilePath, bytes[..^30], Cancelled);
        Assert.Equal([Number(1)], await Open().ReadAsync(Cancelled));

        await Open().AppendAsync([Number(3)], Cancelled);
        Assert.Equal([Number(1), Number(3)], (await Open().ReadAsync(Cancelled)).OrderBy(t => t.UserId));
    }

    [Fact]
    public async Task Another_master_key_reads_the_file_once_it_is_rewrapped_and_not_before()
    {
        await Open().AppendAsync([Number(1)], Cancelled);
        var next = new LocalMasterKey(RandomNumberGenerator.GetBytes(32));
        await Assert.ThrowsAsync<InvalidOperationException>(() => Open(next).ReadAsync(Cancelled));

        await Open(new MasterKeyRing(next, [_master])).RewrapAsync(next.KeyId, Cancelled);
        Assert.Equal([Number(1)], await Open(next).ReadAsync(Cancelled));
    }

    [Fact]
    public async Task When_the_file_is_taken_away_the_next_one_is_whole_again()
    {
        var file = Open();
        await file.AppendAsync([Number(1)], Cancelled);
        File.Delete(FilePath);
        await file.AppendAsync([Number(2)], Cancelled);

        Assert.Equal([Number(2)], await Open().ReadAsync(Cancelled));
    }

    [Fact]
    public async Task Without_a_path_an_erasure_is_refused_with_the_reason()
    {
        var file = new TombstoneFile(_master, TimeProvider.System, Options.Create(new EncryptionOptions()), NullLogger<TombstoneFile>.Instance);

        Assert.False(file.IsConfigured);
        var refusal = await Assert.ThrowsAsync<InvalidOperationException>(() => file.AppendAsync([Number(1)], Cancelled));
        Assert.Contains("TombstonesPath", refusal.Message, StringComparison.Ordinal);
    }

    private TombstoneFile Open(IMasterKey? master = null) => new(
        master ?? _master, TimeProvider.System, Options.Create(new EncryptionOptions { TombstonesPath = FilePath }), NullLogger<TombstoneFile>.Instance);

    private static Tombstone Number(int i) => new(
        Guid.Parse("0190a000-0000-7000-8000-000000000001"), Guid.Parse($"0190b000-0000-7000-8000-{i:000000000000}"), At);
}
