using System.CommandLine;
using System.Globalization;
using AiAspire.Evaluator.Reports;
using AiAspire.Evaluator.Running;
using AiAspire.Evaluator.Suites;
using AiAspire.Evaluator.Targets;
using AiAspire.ServiceDefaults;
using Microsoft.Extensions.Logging.Console;
using OpenTelemetry.Trace;
using Spectre.Console;

namespace AiAspire.Evaluator.Cli;

/// <summary><c>run SUITE --model M [--baseline B]</c>.</summary>
internal static class RunCommand
{
    public static Command Create(IAnsiConsole console)
    {
        var file = new Argument<string>("suite") { Description = "The suite file, for example evals/support.yaml." };
        var model = new Option<string>("--model") { Description = "The candidate.", Required = true };
        var baseline = new Option<string?>("--baseline") { Description = "What is live today; the candidate must not be worse." };
        var url = new Option<string?>("--url")
        {
            Description = "Any OpenAI-speaking base address. Default: the running application, found by .aiaspire/run.json.",
        };
        var apiKey = new Option<string?>("--api-key")
        {
            Description = "Default: AIASPIRE_API_KEY, with --url also OPENAI_API_KEY, else the run file's development key.",
        };
        var repeats = new Option<int?>("--repeats") { Description = "Calls per case and variant. Default: the suite's." };
        var parallel = new Option<int>("--parallel") { Description = "Calls under way at once.", DefaultValueFactory = _ => 4 };
        var judge = new Option<string?>("--judge-model") { Description = "Who judges. Default: the suite's." };
        var json = new Option<string?>("--json") { Description = "Where the full record goes. Default: out/evals/SUITE-TIME/report.json." };
        var junit = new Option<string?>("--junit") { Description = "Where JUnit XML goes. Default: out/evals/SUITE-TIME/junit.xml." };
        var allowInconclusive = new Option<bool>("--allow-inconclusive") { Description = "Exit with 0 instead of 3 when the run cannot tell." };
        repeats.Validators.Add(result => Between(result, result.GetValue(repeats), 1, 20));
        parallel.Validators.Add(result => Between(result, result.GetValue(parallel), 1, 64));

        var command = new Command("run", "Runs a suite. Exit code: 0 ship, 1 block, 2 wrong usage or no target, 3 inconclusive.")
        {
            file, model, baseline, url, apiKey, repeats, parallel, judge, json, junit, allowInconclusive,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var suite = await SuiteReader.ReadFileAsync(parsed.GetRequiredValue(file), cancellationToken);
            var target = TargetFinder.Find(
                parsed.GetValue(url), parsed.GetValue(apiKey), Environment.GetEnvironmentVariable,
                Directory.GetCurrentDirectory(), AppContext.BaseDirectory);

            using var host = BuildHost();
            var time = host.Services.GetRequiredService<TimeProvider>();
            // Starts the export of traces where OTEL_EXPORTER_OTLP_ENDPOINT is set; disposing the host flushes it.
            host.Services.GetService<TracerProvider>();
            using var http = host.Services.GetRequiredService<IHttpClientFactory>().CreateClient(EvaluationServices.TargetClient);
            var client = new OpenAiClient(http, target, suite.Feature, time, host.Services.GetRequiredService<Random>());
            var plan = new EvaluationPlan
            {
                Candidate = parsed.GetRequiredValue(model),
                Baseline = parsed.GetValue(baseline),
                Repeats = parsed.GetValue(repeats),
                Parallelism = parsed.GetValue(parallel),
                JudgeModel = parsed.GetValue(judge),
                Target = target.BaseAddress.ToString(),
            };
            var report = await RunWithProgressAsync(console, new EvaluationRunner(time), suite, plan, client, cancellationToken);

            TableReport.Write(console, report);
            var startedAt = report.StartedAt.UtcDateTime.ToString("yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture);
            var folder = Path.Combine("out", "evals", $"{suite.Name}-{startedAt}");
            var jsonPath = parsed.GetValue(json) ?? Path.Combine(folder, "report.json");
            var junitPath = parsed.GetValue(junit) ?? Path.Combine(folder, "junit.xml");
            await ReportJson.WriteAsync(report, jsonPath, cancellationToken);
            await JUnitReport.WriteAsync(report, junitPath, cancellationToken);
            console.MarkupLineInterpolated($"[grey]{jsonPath}, {junitPath}[/]");
            return ExitCodes.Of(report.Decision.Verdict, parsed.GetValue(allowInconclusive));
        });
        return command;
    }

    private static IHost BuildHost()
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ApplicationName = "evaluator" });
        builder.Configuration.AddEnvironmentVariables();
        builder.AddServiceDefaults();
        // Standard output belongs to the report.
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.Services.AddTargetClient();
        return builder.Build();
    }

    private static async Task<EvaluationReport> RunWithProgressAsync(
        IAnsiConsole console, EvaluationRunner runner, EvaluationSuite suite, EvaluationPlan plan, IModelClient client, CancellationToken cancellationToken)
    {
        if (!console.Profile.Out.IsTerminal)
            return await runner.RunAsync(suite, plan, client, progress: null, cancellationToken);
        return await console.Progress().AutoClear(enabled: true).StartAsync(async context =>
        {
            var bar = context.AddTask(Markup.Escape(suite.Name));
            var progress = new Progress<RunProgress>(p => (bar.MaxValue, bar.Value) = (p.Total, p.Done));
            return await runner.RunAsync(suite, plan, client, progress, cancellationToken);
        });
    }

    private static void Between(System.CommandLine.Parsing.OptionResult result, int? value, int min, int max)
    {
        if (value < min || value > max)
            result.AddError($"{result.Option.Name} must be between {min} and {max}.");
    }
}
