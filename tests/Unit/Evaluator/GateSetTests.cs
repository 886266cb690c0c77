using AiAspire.Evaluator.Scoring;
using AiAspire.Evaluator.Suites;

namespace AiAspire.Unit.Evaluator;

/// <summary>What holds for every suite in the folder <c>evals</c>.</summary>
public sealed class GateSetTests
{
    public static TheoryData<string> Files() => [.. Directory.EnumerateFiles(Folder(), "*.yaml").Select(Path.GetFileName).OfType<string>()];

    [Theory]
    [MemberData(nameof(Files))]
    [Trait("Checklist", "EVAL-01")]
    public async Task Has_fewer_than_50_cases(string file)
    {
        var suite = await ReadAsync(file);

        Assert.InRange(suite.Cases.Count, 30, 49);
        Assert.False(string.IsNullOrEmpty(suite.Feature));
    }

    [Theory]
    [MemberData(nameof(Files))]
    [Trait("Checklist", "EVAL-03")]
    public async Task Judges_quality_and_not_exact_text(string file)
    {
        var suite = await ReadAsync(file);

        Assert.All(suite.Cases, c => Assert.Contains(c.Scorers, s => s.Weight > 0 && s.Scorer is not EqualsScorer));
        Assert.Contains(suite.Cases, c => c.Scorers.Any(s => s.Scorer is JudgeScorer));
    }

    [Theory]
    [MemberData(nameof(Files))]
    [Trait("Checklist", "PROMPT-08")]
    public async Task Holds_prompt_injections_as_critical_cases(string file)
    {
        var suite = await ReadAsync(file);

        var injections = suite.Cases.Where(c => c.Tags.Contains("injection")).ToList();
        Assert.InRange(injections.Count, 3, 49);
        Assert.All(injections, c => Assert.True(c.Critical));
    }

    [Fact]
    [Trait("Checklist", "EVAL-07")]
    public async Task Support_covers_the_edges()
    {
        var edges = (await ReadAsync("support.yaml")).Cases.Where(c => c.Tags.Contains("edge")).Select(c => c.Question).ToList();

        Assert.Contains(edges, text => text.Trim().Length <= 1);
        Assert.Contains(edges, text => text.Length > 10_000);
        Assert.Contains(edges, text => text.Contains('"', StringComparison.Ordinal) && text.Contains('<', StringComparison.Ordinal));
        Assert.Contains(edges, text => text.Any(char.IsSurrogate));
    }

    private static Task<EvaluationSuite> ReadAsync(string file) =>
        SuiteReader.ReadFileAsync(Path.Combine(Folder(), file), TestContext.Current.CancellationToken);

    private static string Folder()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "AiAspire.sln")))
                return Path.Combine(folder.FullName, "evals");
        }

        throw new DirectoryNotFoundException("The repository's root was not found above the tests.");
    }
}
