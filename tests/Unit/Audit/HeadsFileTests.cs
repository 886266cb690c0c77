using AiAspire.Core.Audit;

namespace AiAspire.Unit.Audit;

[Trait("Checklist", "CONV-08")]
public sealed class HeadsFileTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("aiaspire-heads-");

    public void Dispose() => _folder.Delete(recursive: true);

    private string File(string name) => Path.Combine(_folder.FullName, name);

    [Fact]
    public async Task Heads_come_back_as_they_were_signed_and_a_line_cut_by_a_crash_spoils_no_other()
    {
        var (key, path) = (HeadSigningKey.Create(), File("heads"));
        var first = SignedHead.Sign(key, Chain.Tenant, 1, new byte[32], Chain.Start);
        var second = first with { Sequence = 2 };
        long position = 0;
        using (var held = new HeadsFile(path).TryLock()!)
            held.Append([first], ref position);
        await System.IO.File.AppendAllTextAsync(path, "{\"tenant_id\":", TestContext.Current.CancellationToken);
        using (var held = new HeadsFile(path).TryLock()!)
        {
            Assert.Empty(held.ReadFrom(ref position));
            held.Append([second], ref position);
        }

        var lines = await new HeadsFile(path).ReadAsync(TimeProvider.System, TestContext.Current.CancellationToken);
        Assert.Equal(3, lines.Count);
        Assert.Null(lines[1]);
        Assert.True(lines[0]!.IsSignedBy(key));
        Assert.False(lines[2]!.IsSignedBy(key));
        Assert.Equal(2, lines[2]!.Sequence);
    }

    [Fact]
    public void Only_one_holds_the_file_at_a_time()
    {
        var file = new HeadsFile(File("heads"));
        using (Assert.IsType<HeadsFileLock>(file.TryLock()))
            Assert.Null(file.TryLock());
        using var again = file.TryLock();
        Assert.NotNull(again);
    }

    [Fact]
    public void A_signing_key_is_made_once_readable_by_its_owner_alone()
    {
        var path = File("key.pem");
        Assert.Throws<InvalidOperationException>(() => HeadSigningKey.FromFile(path, create: false));
        var made = HeadSigningKey.FromFile(path, create: true);
        Assert.Equal(made.KeyId, HeadSigningKey.FromFile(path, create: true).KeyId);
        if (OperatingSystem.IsWindows())
            return;
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, System.IO.File.GetUnixFileMode(path));
        System.IO.File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.OtherRead);
        Assert.Throws<InvalidOperationException>(() => HeadSigningKey.FromFile(path, create: false));
    }
}
