using System.Text.Json;
using AiAspire.Evaluator.Cli;
using Spectre.Console;

namespace AiAspire.Unit.Evaluator;

public sealed class CommandLineTests : IDisposable
{
    private const string Suite = """
        name: demo
        cases:
          - { id: one, user: one, scorers: [{ type: icontains, value: yes }] }
          - { id: two, user: two, scorers: [{ type: icontains, value: yes }] }
        """;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("aiaspire-evaluator-");
    private readonly StringWriter _output = new();

    public void Dispose()
    {
        _folder.Delete(recursive: true);
        _output.Dispose();
    }

    [Theory]
    [InlineData("yes", 0, "SHIP")]
    [InlineData("no", 1, "BLOCK")]
    [Trait("Checklist", "EVAL-05")]
    public async Task Run_exits_with_the_verdict_and_leaves_both_files(string answer, int exitCode, string word)
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says(answer, 0.002m));

        Assert.Equal(exitCode, await RunAsync(stub.Url));

        Assert.Contains(word, _output.ToString(), StringComparison.Ordinal);
        Assert.Contains("$0.002", _output.ToString(), StringComparison.Ordinal);
        Assert.True(File.Exists(PathOf("junit.xml")));
        var report = JsonDocument.Parse(await File.ReadAllTextAsync(PathOf("report.json"), TestContext.Current.CancellationToken)).RootElement;
        Assert.Equal(exitCode == 0 ? "ship" : "block", report.GetProperty("decision").GetProperty("verdict").GetString());
        Assert.StartsWith("sha256:", report.GetProperty("versions").GetProperty("suite_hash").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_cases_cannot_prove_equality_and_that_may_be_allowed()
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says("yes"));

        Assert.Equal(3, await RunAsync(stub.Url, "--baseline", "old"));
        Assert.Equal(0, await RunAsync(stub.Url, "--baseline", "old", "--allow-inconclusive"));
    }

    [Fact]
    public async Task Wrong_usage_bad_files_and_a_dead_target_exit_with_2()
    {
        string dead;
        await using (var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says("yes")))
            dead = stub.Url;

        Assert.Equal(2, await InvokeAsync("run"));
        Assert.Equal(2, await InvokeAsync("nonsense"));
        Assert.Equal(2, await InvokeAsync("validate", PathOf("missing.yaml")));
        Assert.Equal(2, await RunAsync(dead));
        Assert.Contains("Nothing answers at", _output.ToString(), StringComparison.Ordinal);
        Assert.Equal(2, await RunAsync(dead, "--repeats", "0"));
        await File.WriteAllTextAsync(PathOf("bad.yaml"), "name: x\nnonsense: 1", TestContext.Current.CancellationToken);
        Assert.Equal(2, await InvokeAsync("validate", PathOf("bad.yaml")));
        Assert.Contains("bad.yaml(2):", _output.ToString(), StringComparison.Ordinal);
        Assert.Equal(2, await InvokeAsync("report", PathOf("bad.yaml")));
    }

    [Fact]
    public async Task A_stored_report_is_printed_and_compared()
    {
        await using var stub = await StubOpenAi.StartAsync((_, call) => StubAnswer.Says(call > 6 ? "no" : "yes"));
        await RunAsync(stub.Url);
        File.Move(PathOf("report.json"), PathOf("before.json"));
        await RunAsync(stub.Url);
        _output.GetStringBuilder().Clear();

        Assert.True(await InvokeAsync("report", PathOf("before.json")) == 0, _output.ToString());
        Assert.Contains("SHIP", _output.ToString(), StringComparison.Ordinal);
        Assert.Equal(0, await InvokeAsync("compare", PathOf("before.json"), PathOf("report.json")));
        Assert.Contains("2 regressions, 0 fixes", _output.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(false, "--urls", "http://127.0.0.1:0")]
    [InlineData(true, "--help")]
    [InlineData(true, "run", "x")]
    public void A_verb_means_the_command_line(bool expected, params string[] args) =>
        Assert.Equal(expected, EvaluatorCommands.IsCommandLine(args));

    private async Task<int> RunAsync(string url, params string[] more)
    {
        await File.WriteAllTextAsync(PathOf("demo.yaml"), Suite, TestContext.Current.CancellationToken);
        return await InvokeAsync(["run", PathOf("demo.yaml"), "--model", "new", "--url", url, "--api-key", "k",
            "--json", PathOf("report.json"), "--junit", PathOf("junit.xml"), .. more]);
    }

    private Task<int> InvokeAsync(params string[] args)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors, Out = new AnsiConsoleOutput(_output) });
        return EvaluatorCommands.InvokeAsync(args, console, TestContext.Current.CancellationToken);
    }

    private string PathOf(string name) => Path.Combine(_folder.FullName, name);
}
