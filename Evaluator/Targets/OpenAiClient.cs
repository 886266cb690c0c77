using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace AiAspire.Evaluator.Targets;

/// <summary>
/// The OpenAI wire as an evaluation needs it: no streaming, no cache (<c>x-aiaspire-cache: no-store</c>, so that repeats are
/// real), the suite's feature in <c>x-aiaspire-feature</c>, bounded retries on 408, 429 and 5xx and on broken connections.
/// </summary>
internal sealed class OpenAiClient(
    HttpClient http, TargetAddress target, string? feature, TimeProvider time, Random random) : IModelClient
{
    public const string CostHeader = "x-aiaspire-cost-usd";
    private const int MaxAttempts = 4;
    private const int LongestErrorQuoted = 300;
    private static readonly TimeSpan AttemptTimeout = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan CheckTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(500);

    // A limit that lasts longer than this is not a hiccup: the call is an error, and the report says so.
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(30);

    // Error codes with which gateways and companies decline a prompt. They are answers: a refusal, not a fault.
    private static readonly string[] RefusalCodes = ["content_filter", "content_policy", "moderation", "injection", "safety"];

    public async Task<ChatReply> ChatAsync(string model, JsonObject request, CancellationToken cancellationToken)
    {
        var body = (JsonObject)request.DeepClone();
        body["model"] = model;
        body["stream"] = false;
        var answer = await SendAsync("chat/completions", body, model, cancellationToken);
        if (answer.Declined is { } reason)
            return Describe(answer) with { Refusal = reason, FinishReason = "content_filter" };
        try
        {
            return ReadChat(answer);
        }
        catch (Exception problem) when (problem is InvalidOperationException or KeyNotFoundException or FormatException or IndexOutOfRangeException)
        {
            throw new ModelCallException("the answer is not a chat completion", problem);
        }
    }

    public async Task<EmbeddingReply> EmbedAsync(string model, IReadOnlyList<string> texts, CancellationToken cancellationToken)
    {
        var body = new JsonObject
        {
            ["model"] = model,
            ["input"] = new JsonArray([.. texts.Select(text => (JsonNode)text)]),
            ["encoding_format"] = "float",
        };
        var answer = await SendAsync("embeddings", body, model, cancellationToken);
        if (answer.Declined is { } reason)
            throw new ModelCallException($"the embedding was declined: {reason}");
        try
        {
            var vectors = answer.Json.GetProperty("data").EnumerateArray()
                .OrderBy(item => item.GetProperty("index").GetInt32())
                .Select(item => item.GetProperty("embedding").EnumerateArray().Select(number => number.GetSingle()).ToArray())
                .ToList();
            return vectors.Count == texts.Count
                ? new EmbeddingReply(vectors, answer.CostUsd)
                : throw new ModelCallException($"{texts.Count} texts were embedded as {vectors.Count} vectors");
        }
        catch (Exception problem) when (problem is InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new ModelCallException("the answer is not a list of embeddings", problem);
        }
    }

    public async Task CheckAsync(CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(CheckTimeout, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            using var request = Request(HttpMethod.Get, "models");
            using var response = await http.SendAsync(request, linked.Token);
            // Any other answer shows that somebody is there; not every target lists its models.
            if (response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden)
                throw KeyRefused(response.StatusCode);
        }
        catch (Exception problem) when (problem is HttpRequestException
            || (problem is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new TargetException(
                $"Nothing answers at {target.BaseAddress}: start the application with 'dotnet run --project AppHost', or name another target with --url.",
                problem);
        }
    }

    private async Task<Answer> SendAsync(string path, JsonObject body, string model, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            var started = time.GetTimestamp();
            string problem;
            TimeSpan? wait = null;
            Exception? cause = null;
            try
            {
                using var timeout = new CancellationTokenSource(AttemptTimeout, time);
                using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
                using var request = Request(HttpMethod.Post, path);
                request.Content = JsonContent.Create(body);
                using var response = await http.SendAsync(request, linked.Token);
                var text = await response.Content.ReadAsStringAsync(linked.Token);
                var elapsed = time.GetElapsedTime(started);
                if (response.IsSuccessStatusCode)
                    return Answer.Of(response, Parse(text), elapsed, attempt - 1);

                var (code, message) = ReadError(text);
                if ((int)response.StatusCode is 400 or 403 or 422 && IsRefusal(code))
                    return Answer.Of(response, default, elapsed, attempt - 1) with { Declined = message };
                problem = $"{(int)response.StatusCode} {code}: {message}";
                if (!IsTransient(response.StatusCode))
                    throw Final(response.StatusCode, code, problem, model);
                wait = RetryAfter(response);
            }
            catch (HttpRequestException broken)
            {
                (problem, cause) = ($"the connection failed: {broken.Message}", broken);
            }
            catch (OperationCanceledException late) when (!cancellationToken.IsCancellationRequested)
            {
                (problem, cause) = ($"no answer within {AttemptTimeout.TotalSeconds:0} s", late);
            }

            wait ??= Backoff(attempt);
            if (attempt == MaxAttempts || wait > LongestDelay)
                throw new ModelCallException($"{problem} (after {attempt} {(attempt == 1 ? "attempt" : "attempts")})", cause);
            await Task.Delay(wait.Value, time, cancellationToken);
        }
    }

    private HttpRequestMessage Request(HttpMethod method, string path)
    {
        var request = new HttpRequestMessage(method, new Uri(target.BaseAddress, path));
        if (target.ApiKey is { } key)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        request.Headers.Add("x-aiaspire-cache", "no-store");
        if (feature is not null)
            request.Headers.Add("x-aiaspire-feature", feature);
        return request;
    }

    private static bool IsTransient(HttpStatusCode status) =>
        status is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests || (int)status >= 500;

    private static bool IsRefusal(string code) =>
        RefusalCodes.Any(known => code.Contains(known, StringComparison.OrdinalIgnoreCase));

    private Exception Final(HttpStatusCode status, string code, string problem, string model) => status switch
    {
        HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => KeyRefused(status),
        HttpStatusCode.NotFound when code == "model_not_found" => new TargetException(
            $"{target.BaseAddress} does not know the model '{model}'; GET {target.BaseAddress}models lists the ones it knows."),
        HttpStatusCode.NotFound => new TargetException($"{target.BaseAddress} does not speak the OpenAI wire ({problem}); check --url."),
        _ => new ModelCallException(problem),
    };

    private TargetException KeyRefused(HttpStatusCode status) => new(
        $"{target.BaseAddress} refused the API key ({(int)status}); pass a valid one with --api-key or the environment variable AIASPIRE_API_KEY.");

    // Seconds or a date (RFC 9110, section 10.2.3).
    private TimeSpan? RetryAfter(HttpResponseMessage response)
    {
        var header = response.Headers.RetryAfter;
        var wait = header?.Delta ?? (header?.Date is { } date ? date - time.GetUtcNow() : null);
        return wait < TimeSpan.Zero ? TimeSpan.Zero : wait;
    }

    // Doubles, with full jitter in its upper half, so that parallel calls do not come back together.
    private TimeSpan Backoff(int attempt) => FirstDelay * Math.Pow(2, attempt - 1) * (0.5 + (random.NextDouble() / 2));

    private static JsonElement Parse(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return document.RootElement.Clone();
        }
        catch (JsonException problem)
        {
            throw new ModelCallException("the answer is not JSON", problem);
        }
    }

    // {"error":{"message":"…","type":"invalid_request_error","param":null,"code":"model_not_found"}}
    private static (string Code, string Message) ReadError(string text)
    {
        try
        {
            if (JsonNode.Parse(text)?["error"] is JsonObject error)
                return ((error["code"] ?? error["type"])?.ToString() ?? "error", error["message"]?.ToString() ?? "no message");
        }
        catch (Exception problem) when (problem is JsonException or InvalidOperationException)
        {
            return ("error", Quoted(text));
        }

        return ("error", Quoted(text));

        static string Quoted(string text) => text.Length <= LongestErrorQuoted ? text : text[..LongestErrorQuoted] + "…";
    }

    private static ChatReply ReadChat(Answer answer)
    {
        var choice = answer.Json.GetProperty("choices")[0];
        var message = choice.GetProperty("message");
        return Describe(answer) with
        {
            Content = Text(message, "content") ?? string.Empty,
            Refusal = Text(message, "refusal"),
            FinishReason = Text(choice, "finish_reason"),
            ToolCalls = message.TryGetProperty("tool_calls", out var calls) && calls.ValueKind == JsonValueKind.Array
                ? [.. calls.EnumerateArray().Where(call => call.TryGetProperty("function", out _)).Select(call => call.GetProperty("function"))
                    .Select(function => new ToolCall(Text(function, "name") ?? string.Empty, Text(function, "arguments") ?? string.Empty))]
                : [],
        };
    }

    private static ChatReply Describe(Answer answer)
    {
        var usage = answer.Json.ValueKind == JsonValueKind.Object && answer.Json.TryGetProperty("usage", out var u) ? u : default;
        return new ChatReply
        {
            Model = Text(answer.Json, "model"),
            ResponseId = Text(answer.Json, "id"),
            RequestId = answer.RequestId,
            InputTokens = Count(usage, "prompt_tokens"),
            OutputTokens = Count(usage, "completion_tokens"),
            CostUsd = answer.CostUsd,
            LatencyMs = answer.Elapsed.TotalMilliseconds,
            Retries = answer.Retries,
        };
    }

    private static string? Text(JsonElement json, string name) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;

    private static int? Count(JsonElement json, string name) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number
            && value.TryGetInt32(out var count) ? count : null;

    private sealed record Answer(JsonElement Json, TimeSpan Elapsed, int Retries, decimal? CostUsd, string? RequestId, string? Declined = null)
    {
        public static Answer Of(HttpResponseMessage response, JsonElement json, TimeSpan elapsed, int retries) => new(
            json,
            elapsed,
            retries,
            Header(response, CostHeader) is { } cost && decimal.TryParse(cost, NumberStyles.Float, CultureInfo.InvariantCulture, out var usd) && usd >= 0
                ? usd
                : null,
            Header(response, "x-request-id"));

        private static string? Header(HttpResponseMessage response, string name) =>
            response.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;
    }
}
