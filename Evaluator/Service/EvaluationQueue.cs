using System.Threading.Channels;
using AiAspire.Evaluator.Running;
using AiAspire.Evaluator.Suites;
using AiAspire.Evaluator.Targets;
using Microsoft.Extensions.Options;

namespace AiAspire.Evaluator.Service;

/// <summary>
/// One evaluation at a time, the others waiting in a bounded queue: two at once would disturb each other's latencies.
/// Stopping the service cancels the running one and marks it and the waiting ones so.
/// </summary>
internal sealed partial class EvaluationQueue(
    EvaluationStore store,
    IHttpClientFactory clients,
    IOptions<EvaluatorOptions> options,
    TimeProvider time,
    Random random,
    ILogger<EvaluationQueue> logger) : BackgroundService
{
    private readonly Channel<EvaluationRecord> _waiting = Channel.CreateBounded<EvaluationRecord>(options.Value.MaxQueued);

    /// <summary>False when the queue is full.</summary>
    public async Task<bool> TryEnqueueAsync(EvaluationRecord record, CancellationToken cancellationToken)
    {
        // On disk first: whoever learns the id can ask for it, and the worker may start before this returns.
        await store.SaveAsync(record, cancellationToken);
        if (_waiting.Writer.TryWrite(record))
            return true;
        var refused = record with { State = EvaluationState.Failed, FinishedAt = time.GetUtcNow(), Error = "The queue was full." };
        await store.SaveAsync(refused, CancellationToken.None);
        return false;
    }

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await store.CancelUnfinishedAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await foreach (var record in _waiting.Reader.ReadAllAsync(stoppingToken))
                await RunAsync(record, stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            _waiting.Writer.TryComplete();
            while (_waiting.Reader.TryRead(out var record))
                await store.SaveAsync(record.Cancelled(time.GetUtcNow()), CancellationToken.None);
        }
    }

    private async Task RunAsync(EvaluationRecord record, CancellationToken stoppingToken)
    {
        LogStarted(record.Id, record.Suite, record.Model);
        try
        {
            record = record with { State = EvaluationState.Running };
            await store.SaveAsync(record, stoppingToken);
            var path = store.FindSuite(record.Suite) ?? throw new FileNotFoundException($"The suite '{record.Suite}' is gone.");
            var suite = await SuiteReader.ReadFileAsync(path, stoppingToken);
            var target = TargetAddress.Of(options.Value.TargetUrl, options.Value.ApiKey);
            using var http = clients.CreateClient(EvaluationServices.TargetClient);
            var plan = new EvaluationPlan
            {
                Candidate = record.Model,
                Baseline = record.Baseline,
                Repeats = record.Repeats,
                Parallelism = options.Value.Parallelism,
                Target = target.BaseAddress.ToString(),
            };
            var report = await new EvaluationRunner(time)
                .RunAsync(suite, plan, new OpenAiClient(http, target, suite.Feature, time, random), progress: null, stoppingToken);
            LogFinished(record.Id, report.Decision.Verdict);
            record = record with { State = EvaluationState.Completed, Report = report };
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            await store.SaveAsync(record.Cancelled(time.GetUtcNow()), CancellationToken.None);
            throw;
        }
        catch (Exception problem) when (problem is SuiteFormatException or TargetException or IOException or UnauthorizedAccessException)
        {
            LogFailed(problem, record.Id);
            record = record with { State = EvaluationState.Failed, Error = problem.Message };
        }
        catch (Exception problem)
        {
            // A fault of ours in one evaluation must not end the service; its message may hold what callers should not see.
            LogFailed(problem, record.Id);
            record = record with { State = EvaluationState.Failed, Error = "An internal error; the service's log has the details." };
        }

        await store.SaveAsync(record with { FinishedAt = time.GetUtcNow() }, CancellationToken.None);
    }

    [LoggerMessage(1, LogLevel.Information, "Evaluation {EvaluationId} of suite {Suite} with {Model} started")]
    private partial void LogStarted(string evaluationId, string suite, string model);

    [LoggerMessage(2, LogLevel.Information, "Evaluation {EvaluationId} ended: {Verdict}")]
    private partial void LogFinished(string evaluationId, Gate.Verdict verdict);

    [LoggerMessage(3, LogLevel.Error, "Evaluation {EvaluationId} could not be carried out")]
    private partial void LogFailed(Exception problem, string evaluationId);
}
