namespace AiAspire.Unit.Architecture;

/// <summary>The files of the repository that this assembly was built from.</summary>
internal static class Repository
{
    private static readonly string[] NotSource = ["bin", "obj", ".git", ".aiaspire", "TestResults", "node_modules", "BenchmarkDotNet.Artifacts", "out", ".vs", ".idea"];

    public static string Root { get; } = FindRoot();

    public static string PathOf(params string[] parts) => Path.Combine([Root, .. parts]);

    /// <summary>Paths from the root, with forward slashes, of what people wrote.</summary>
    public static IEnumerable<string> Files(string pattern = "*", string under = "")
        => Walk(new DirectoryInfo(Path.Combine(Root, under)), pattern).Select(f => Path.GetRelativePath(Root, f).Replace('\\', '/')).Order(StringComparer.Ordinal);

    public static string Read(string path) => File.ReadAllText(Path.Combine(Root, path));

    private static IEnumerable<string> Walk(DirectoryInfo directory, string pattern)
        => directory.EnumerateFiles(pattern).Select(f => f.FullName)
            .Concat(directory.EnumerateDirectories().Where(d => !NotSource.Contains(d.Name, StringComparer.Ordinal)).SelectMany(d => Walk(d, pattern)));

    private static string FindRoot()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "AiAspire.sln")))
                return directory.FullName;
        }

        throw new InvalidOperationException("No AiAspire.sln above the tests: these tests read the sources.");
    }
}
