using System.Text.Json;
using System.Text.RegularExpressions;
using AiAspire.Evaluator.Reports;
using Microsoft.Extensions.Options;

namespace AiAspire.Evaluator.Service;

/// <summary>Evaluations as files, so that a restart forgets none. Suites are found here too.</summary>
internal sealed partial class EvaluationStore(IOptions<EvaluatorOptions> options, TimeProvider time)
{
    private const int MostListed = 100;
    private const string Extension = ".json";
    private readonly string _folder = Path.GetFullPath(options.Value.DataPath);

    public string NewId() => $"eval_{Guid.CreateVersion7(time.GetUtcNow()):N}";

    /// <summary>The suite's file; null when there is none of that name.</summary>
    public string? FindSuite(string name)
    {
        // The name comes from a caller: nothing but a plain word may reach the file system.
        if (!PlainWord().IsMatch(name) || SuitesFolder() is not { } folder)
            return null;
        var path = Path.Combine(folder, name + ".yaml");
        return File.Exists(path) ? path : null;
    }

    /// <summary>Replaces the record whole: a reader sees the old or the new one, never half of it.</summary>
    public async Task SaveAsync(EvaluationRecord record, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(_folder);
        var path = PathOf(record.Id);
        var draft = path + ".draft";
        await using (var file = File.Create(draft))
            await JsonSerializer.SerializeAsync(file, record, ReportJson.Options, cancellationToken);
        File.Move(draft, path, overwrite: true);
    }

    public async Task<EvaluationRecord?> FindAsync(string id, CancellationToken cancellationToken)
    {
        if (!PlainWord().IsMatch(id) || !File.Exists(PathOf(id)))
            return null;
        await using var file = new FileStream(PathOf(id), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        return await JsonSerializer.DeserializeAsync<EvaluationRecord>(file, ReportJson.Options, cancellationToken);
    }

    /// <summary>The newest first, without their reports.</summary>
    public async Task<IReadOnlyList<EvaluationRecord>> ListAsync(CancellationToken cancellationToken)
    {
        var records = new List<EvaluationRecord>();
        foreach (var id in Ids().Take(MostListed))
        {
            if (await FindAsync(id, cancellationToken) is { } record)
                records.Add(record with { Report = null });
        }

        return records;
    }

    /// <summary>Marks what an earlier process left unfinished: nobody works on it any more.</summary>
    public async Task CancelUnfinishedAsync(CancellationToken cancellationToken)
    {
        foreach (var id in Ids())
        {
            if (await FindAsync(id, cancellationToken) is { State: EvaluationState.Queued or EvaluationState.Running } record)
                await SaveAsync(record.Cancelled(time.GetUtcNow()), cancellationToken);
        }
    }

    // Version 7 ids begin with their time, so names sort by age.
    private IEnumerable<string> Ids() => Directory.Exists(_folder)
        ? Directory.EnumerateFiles(_folder, "eval_*" + Extension).Select(path => Path.GetFileNameWithoutExtension(path)).OrderDescending(StringComparer.Ordinal)
        : [];

    private string PathOf(string id) => Path.Combine(_folder, id + Extension);

    private string? SuitesFolder()
    {
        if (options.Value.SuitesPath is { Length: > 0 } configured)
            return configured;
        foreach (var start in new[] { Directory.GetCurrentDirectory(), AppContext.BaseDirectory })
        {
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                if (Path.Combine(folder.FullName, "evals") is var found && Directory.Exists(found))
                    return found;
            }
        }

        return null;
    }

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9_-]{0,99}\z", RegexOptions.None, 1000)]
    private static partial Regex PlainWord();
}

internal static class EvaluationRecordTransitions
{
    public static EvaluationRecord Cancelled(this EvaluationRecord record, DateTimeOffset now) => record with
    {
        State = EvaluationState.Cancelled,
        FinishedAt = now,
        Error = "The evaluator stopped before this evaluation had ended; ask for it again.",
    };
}
