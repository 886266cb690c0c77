using AiAspire.Evaluator;
using AiAspire.Evaluator.Cli;
using AiAspire.Evaluator.Service;
using AiAspire.ServiceDefaults;
using Spectre.Console;

// With a verb: the command line. Without: the service.
if (EvaluatorCommands.IsCommandLine(args))
    return await EvaluatorCommands.InvokeAsync(args, AnsiConsole.Console, CancellationToken.None);

var builder = WebApplication.CreateBuilder(args);
builder.AddServiceDefaults();
builder.Services.AddEvaluationService();

if (builder.BuildWithUsableSettings() is not { } app)
    return 1;
app.MapDefaultEndpoints();
app.MapEvaluations();
await app.RunAsync();
return 0;
