using Microsoft.Extensions.Configuration;

namespace Aspire.Hosting.Embedded;

/// <summary>Which PostgreSQL is used: the one named, else the machine's, else a fetched one; and always one that can read the data.</summary>
internal static class PostgresChoice
{
    /// <summary>What row-level security and the queue need is there since this version.</summary>
    public const int OldestMajor = 15;

    /// <exception cref="DistributedApplicationException">There is none that fits; the message says what to do.</exception>
    public static async Task<PostgresBinaries> ChooseAsync(
        IConfiguration configuration, int? clusterMajor, Action<string> say, CancellationToken cancellationToken)
    {
        if (configuration["Postgres:Binaries"] is { Length: > 0 } folder)
            return Fitting(await PostgresBinaries.TryAsync(folder, cancellationToken)
                ?? throw new DistributedApplicationException($"Postgres:Binaries is {folder}, but postgres and initdb are not there or do not run."));

        var local = configuration.GetValue("Postgres:Local", true)
            ? await PostgresBinaries.FindAsync(PostgresBinaries.UsualFolders(), cancellationToken)
            : [];
        if (local.FirstOrDefault(b => b.Major >= OldestMajor && (clusterMajor ?? b.Major) == b.Major) is { } found)
            return found;

        // The data was made by a version that neither the machine nor the package has: say so before fetching in vain.
        var package = new PostgresPackage(CacheFolder());
        if (clusterMajor is { } major && major != PackageMajor)
            throw new DistributedApplicationException(Mismatch(major, local.Count > 0 ? $"the machine has {string.Join(", ", local.Select(b => b.Major).Distinct())}" : "the machine has none"));
        return await package.GetAsync(say, cancellationToken);

        PostgresBinaries Fitting(PostgresBinaries binaries) => clusterMajor is null || clusterMajor == binaries.Major
            ? binaries
            : throw new DistributedApplicationException(Mismatch(clusterMajor.Value, $"{binaries.Folder} is {binaries.Major}"));
    }

    public static string CacheFolder()
    {
        // Root's own cache cannot be read by the user that PostgreSQL runs as.
        if (Unix.IsRoot)
            return "/var/cache/aiaspire";

        var cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg
            ? xdg
            : OperatingSystem.IsWindows()
                ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
                : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        return Path.Combine(cache, "aiaspire");
    }

    private static int PackageMajor => int.Parse(PostgresPackage.Version[..PostgresPackage.Version.IndexOf('.')]);

    private static string Mismatch(int clusterMajor, string have) =>
        $"The database in the data folder was made by PostgreSQL {clusterMajor}, but {have}: install version {clusterMajor}, or start over with --reset.";
}
