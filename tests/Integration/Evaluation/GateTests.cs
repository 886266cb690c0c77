using System.Diagnostics;
using System.Text.Json;
using AiAspire.AppHost;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Evaluation;

/// <summary>The evaluator's command line, as CI would run it, against the running application.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class GateTests(RunningApplication application)
{
    private static readonly string Repository = Path.GetFullPath(Path.Combine(DevelopmentSecrets.AppHostDirectory, ".."));

    [Theory]
    [InlineData("sim-large", "sim-small", 0, "ship")]
    [InlineData("sim-small", "sim-large", 1, "block")]
    [Trait("Checklist", "EVAL-02")]
    [Trait("Checklist", "EVAL-04")]
    [Trait("Checklist", "EVAL-05")]
    public async Task The_better_model_ships_and_the_worse_is_blocked(string model, string baseline, int exitCode, string verdict)
    {
        var folder = Directory.CreateTempSubdirectory("aiaspire-eval-").FullName;
        try
        {
            var (json, junit) = (Path.Combine(folder, "run.json"), Path.Combine(folder, "run.xml"));
            var (code, output) = await RunAsync(
                "run", Path.Combine("evals", "support.yaml"), "--model", model, "--baseline", baseline, "--url", new Uri(application.Api, "/v1").ToString(), "--json", json, "--junit", junit);
            Assert.True(code == exitCode, $"exit code {code}:\n{output}");
            Assert.Contains(verdict, output, StringComparison.OrdinalIgnoreCase);
            var record = JsonElement.Parse(await File.ReadAllTextAsync(json, TestContext.Current.CancellationToken));
            Assert.Contains($"\"{verdict}\"", record.GetRawText(), StringComparison.OrdinalIgnoreCase);
            Assert.Contains("<testcase", await File.ReadAllTextAsync(junit, TestContext.Current.CancellationToken), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private async Task<(int Code, string Output)> RunAsync(params string[] arguments)
    {
        var configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;
        var start = new ProcessStartInfo("dotnet")
        {
            WorkingDirectory = Repository,
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["AIASPIRE_API_KEY"] = application.DeveloperKey },
        };
        foreach (var argument in new[] { "exec", Path.Combine(Repository, "Evaluator", "bin", configuration, "net10.0", "AiAspire.Evaluator.dll") }.Concat(arguments))
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken));
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, await output + await errors);
    }
}
