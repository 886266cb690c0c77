using System.Net.Http.Json;
using System.Text.Json;

namespace AiAspire.Workers.Evaluations;

/// <summary>The Evaluator could not or would not do what was asked.</summary>
internal sealed class EvaluatorException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>An evaluation as the Evaluator tells of it (its <c>EvaluationRecord</c>).</summary>
internal sealed record Evaluation
{
    public required string Id { get; init; }

    public required string State { get; init; }

    public required string Suite { get; init; }

    public required string Model { get; init; }

    public string? Baseline { get; init; }

    public int? Repeats { get; init; }

    public string? Error { get; init; }

    /// <summary>Once it is completed.</summary>
    public JsonElement? Report { get; init; }

    public bool IsOver => State is "completed" or "failed" or "cancelled";
}

/// <summary>Asks the Evaluator over HTTP: <c>/v1/evaluations</c>.</summary>
internal sealed class EvaluatorClient(HttpClient http, ScheduledEvaluationOptions options)
{
    private const string Path = "/v1/evaluations";
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>
    /// Asks for the evaluation, or finds the one of the same settings that waits or runs already: a run that was cut off and comes again pays
    /// for no second one.
    /// </summary>
    public async Task<Evaluation> AskAsync(CancellationToken cancellationToken)
    {
        var list = await SendAsync<EvaluationList>(HttpMethod.Get, Path, null, cancellationToken);
        if (list.Data.FirstOrDefault(e => !e.IsOver && e.Suite == options.Suite && e.Model == options.Model && e.Baseline == options.Baseline && e.Repeats == options.Repeats) is { } same)
            return same;
        return await SendAsync<Evaluation>(
            HttpMethod.Post, Path, new { suite = options.Suite, model = options.Model, baseline = options.Baseline, repeats = options.Repeats }, cancellationToken);
    }

    public Task<Evaluation> FindAsync(string id, CancellationToken cancellationToken) => SendAsync<Evaluation>(HttpMethod.Get, $"{Path}/{id}", null, cancellationToken);

    private async Task<T> SendAsync<T>(HttpMethod method, string path, object? body, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, new Uri(new Uri(options.Url), path));
        request.Headers.Authorization = new("Bearer", options.ApiKey);
        if (body is not null)
            request.Content = JsonContent.Create(body, options: Json);
        using var response = await http.SendAsync(request, cancellationToken);
        if (!response.IsSuccessStatusCode)
            throw new EvaluatorException($"The Evaluator answered {method} {path} with {(int)response.StatusCode}: {await MessageAsync(response, cancellationToken)}");
        return await response.Content.ReadFromJsonAsync<T>(Json, cancellationToken) ?? throw new EvaluatorException($"The Evaluator answered {method} {path} with null.");
    }

    private static async Task<string> MessageAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            var body = await response.Content.ReadFromJsonAsync<JsonElement>(cancellationToken);
            return body.GetProperty("error").GetProperty("message").GetString() ?? "without a message.";
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return "without a message that could be read.";
        }
    }

    private sealed record EvaluationList(IReadOnlyList<Evaluation> Data);
}
