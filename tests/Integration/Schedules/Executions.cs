using System.Globalization;
using System.Text.RegularExpressions;
using Aspire.Hosting;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Schedules;

/// <summary>
/// What the workers really ran by the clock, from the logs of all of them. The table of runs cannot tell: a unique index allows one row for each firing,
/// whether it was run once or twice.
/// </summary>
internal static partial class Executions
{
    /// <summary>Every execution of a firing; one that was made again because its worker died is a recovery and not among them.</summary>
    public static IReadOnlyList<(string Schedule, DateTimeOffset Due)> Of(DistributedApplication app)
        => [.. app.GetResourceLogs("workers").Select(line => Line().Match(line)).Where(m => m.Success).Select(m => (m.Groups["schedule"].Value, Time(m.Groups["due"].Value)))];

    public static void EachRanOnce(IEnumerable<(string Schedule, DateTimeOffset Due)> executions)
        => Assert.All(executions.CountBy(e => e), e => Assert.True(e.Value == 1, $"{e.Key.Schedule} ran {e.Value} times for its firing at {e.Key.Due:O}"));

    private static DateTimeOffset Time(string text) => DateTimeOffset.Parse(Regex.Unescape(text), CultureInfo.InvariantCulture);

    [GeneratedRegex(@"Schedule (?<schedule>[a-z-]+) runs for (?<due>\S+) \(Schedule\)", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Line();
}
