using System.Text.RegularExpressions;

namespace AiAspire.Unit.Architecture;

public sealed partial class SecretScanTests
{
    /// <summary>Things that look like secrets and are none. Whoever adds one says why.</summary>
    private static readonly Dictionary<string, string> NotSecret = new(StringComparer.Ordinal)
    {
        ["sk-test-0123456789"] = "the simulator's tests: the simulator takes any key",
        ["sk-another-key-0001"] = "the same",
        ["sk-proj-AbCdEf0123456789"] = "the log scrubber's test: it must be taken out",
        ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0."] = "the same: a token that signs nothing",
        ["Password=hunter2"] = "the log scrubber's and the health page's tests: it must be taken out",
        ["Password=s3cret"] = "the reference expression's test: a database that does not exist",
    };

    [Fact]
    [Trait("Checklist", "PROV-07")]
    public void No_file_of_the_repository_holds_a_secret()
    {
        var found = Repository.Files()
            .Where(f => !f.EndsWith("packages.lock.json", StringComparison.Ordinal) && !f.Contains("packages.aspire.lock", StringComparison.Ordinal))
            .SelectMany(f => Secrets(Repository.Read(f)).Select(s => $"{f}: {s[..Math.Min(12, s.Length)]}…"));

        Assert.Empty(found);
    }

    [Fact]
    [Trait("Checklist", "PROV-07")]
    public void The_catalog_ships_keys_of_the_simulator_alone()
    {
        var keys = CatalogKey().Matches(Repository.Read("Core/Models/catalog.json")).Select(m => m.Groups["key"].Value).ToList();

        Assert.NotEmpty(keys);
        Assert.All(keys, key => Assert.StartsWith("sim-key-", key, StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Planted))]
    public void The_scan_finds_what_was_planted(string text) => Assert.NotEmpty(Secrets(text));

    /// <summary>Put together at run time, so that the scan does not find this file.</summary>
    public static TheoryData<string> Planted =>
    [
        "key = \"sk-" + "proj-" + new string('a', 20) + "B7c9" + "\"",
        "sk-" + "ant-api03-" + new string('x', 30),
        "AKIA" + "IOSFODNN7" + "ABCDEFG",
        "-----BEGIN " + "EC PRIVATE KEY-----",
        "gh" + "p_" + new string('Z', 36),
        "ey" + "JhbGciOiJFUzI1NiJ9." + "ey" + "JzdWIiOiJ4In0.c2lnbmF0dXJl",
        "Host=db;Username=app;Password" + "=Tr0ub4dor&3",
        "\"ApiKey\": \"" + "3f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c\"",
    ];

    private static IEnumerable<string> Secrets(string text)
        => KeyLike().Matches(text).Select(m => m.Value)
            .Concat(Password().Matches(text).Select(m => m.Value))
            .Concat(Configured().Matches(text).Select(m => m.Value))
            .Where(s => !NotSecret.ContainsKey(s));

    [GeneratedRegex(
        @"\bsk-[A-Za-z0-9_-]{15,}|\bAKIA[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----|\bgh[pousr]_[A-Za-z0-9]{30,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAIza[0-9A-Za-z_-]{35}|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{5,}\.",
        RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 5000)]
    private static partial Regex KeyLike();

    // A password in a connection string; braces and angle brackets are places to be filled.
    [GeneratedRegex(@"\bPassword=[^;""'\s{}<>$()]{4,}", RegexOptions.ExplicitCapture | RegexOptions.IgnoreCase, matchTimeoutMilliseconds: 5000)]
    private static partial Regex Password();

    [GeneratedRegex(@"""(ApiKey|Secret|Token|MasterKey)""\s*:\s*""(?!sim-key-)[A-Za-z0-9+/_=-]{20,}""", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 5000)]
    private static partial Regex Configured();

    [GeneratedRegex(@"""ApiKey""\s*:\s*""(?<key>[^""]*)""", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 5000)]
    private static partial Regex CatalogKey();
}
