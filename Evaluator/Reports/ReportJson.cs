using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace AiAspire.Evaluator.Reports;

/// <summary>The report as JSON, snake_case like the rest of the wire. Nulls are written: an unknown cost is a statement.</summary>
public static class ReportJson
{
    public static JsonSerializerOptions Options { get; } = new(JsonSerializerDefaults.Web)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = true,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    public static async Task WriteAsync(EvaluationReport report, string path, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        await using var file = File.Create(path);
        await JsonSerializer.SerializeAsync(file, report, Options, cancellationToken);
    }

    /// <exception cref="JsonException">The file is not a report.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static async Task<EvaluationReport> ReadAsync(string path, CancellationToken cancellationToken)
    {
        await using var file = File.OpenRead(path);
        return await JsonSerializer.DeserializeAsync<EvaluationReport>(file, Options, cancellationToken)
            ?? throw new JsonException("The file holds null instead of a report.");
    }
}
