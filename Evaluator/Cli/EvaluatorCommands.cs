using System.CommandLine;
using System.Text.Json;
using AiAspire.Evaluator.Reports;
using AiAspire.Evaluator.Suites;
using AiAspire.Evaluator.Targets;
using Spectre.Console;

namespace AiAspire.Evaluator.Cli;

/// <summary>
/// The command line: <c>run</c>, <c>validate</c>, <c>report</c>, <c>compare</c>. Exit codes: 0 ship or done, 1 block, 2 wrong
/// usage or no target, 3 inconclusive.
/// </summary>
internal static class EvaluatorCommands
{
    private const int WidthWithoutTerminal = 240;

    /// <summary>Options of the web host (<c>--urls …</c>) and no arguments at all mean the service.</summary>
    public static bool IsCommandLine(string[] args) =>
        args is [var first, ..] && (!first.StartsWith('-') || first is "--help" or "-h" or "-?" or "--version");

    public static async Task<int> InvokeAsync(string[] args, IAnsiConsole console, CancellationToken cancellationToken)
    {
        // Without a terminal (a build log, a pipe) the console assumes 80 columns and would break every sentence.
        if (!console.Profile.Out.IsTerminal)
            console.Profile.Width = WidthWithoutTerminal;
        var parsed = Build(console).Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (var error in parsed.Errors)
                console.MarkupLineInterpolated($"[red]{error.Message}[/]");
            return ExitCodes.Unusable;
        }

        try
        {
            return await parsed.InvokeAsync(
                new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromSeconds(5) },
                cancellationToken);
        }
        catch (Exception problem) when (problem is SuiteFormatException or TargetException or IOException or UnauthorizedAccessException or JsonException)
        {
            console.MarkupLineInterpolated($"[red]{problem.Message}[/]");
            return ExitCodes.Unusable;
        }
        catch (OperationCanceledException)
        {
            console.MarkupLine("[red]Cancelled.[/]");
            return ExitCodes.Unusable;
        }
    }

    private static RootCommand Build(IAnsiConsole console) => new(
        "Evaluates models and prompts against suites of cases, and decides: ship, block or inconclusive.")
    {
        RunCommand.Create(console),
        Validate(console),
        Report(console),
        Compare(console),
    };

    private static Command Validate(IAnsiConsole console)
    {
        var file = new Argument<string>("suite") { Description = "The suite file." };
        var command = new Command("validate", "Checks a suite file without calling anything.") { file };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var suite = await SuiteReader.ReadFileAsync(parsed.GetRequiredValue(file), cancellationToken);
            console.MarkupLineInterpolated($"{suite.Name}: {suite.Cases.Count} cases, {suite.Cases.Count(c => c.Critical)} critical, {suite.Hash}");
            return ExitCodes.Ship;
        });
        return command;
    }

    private static Command Report(IAnsiConsole console)
    {
        var file = new Argument<string>("report") { Description = "A report written by run." };
        var command = new Command("report", "Prints a stored report again.") { file };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            TableReport.Write(console, await ReportJson.ReadAsync(parsed.GetRequiredValue(file), cancellationToken));
            return ExitCodes.Ship;
        });
        return command;
    }

    private static Command Compare(IAnsiConsole console)
    {
        var before = new Argument<string>("before") { Description = "The earlier report." };
        var after = new Argument<string>("after") { Description = "The later report." };
        var command = new Command("compare", "Compares the candidates of two stored reports, case by case.") { before, after };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ReportComparison.Write(
                console,
                await ReportJson.ReadAsync(parsed.GetRequiredValue(before), cancellationToken),
                await ReportJson.ReadAsync(parsed.GetRequiredValue(after), cancellationToken));
            return ExitCodes.Ship;
        });
        return command;
    }
}
