using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using System.Text.Json;
using OpenAI;
using OpenAI.Batch;
using OpenAI.Files;

namespace AiAspire.Load.Batches;

/// <summary>What a batch came to: its object, and the lines of its files.</summary>
internal sealed record BatchOutcome(JsonElement Batch, IReadOnlyList<JsonElement> Output, IReadOnlyList<JsonElement> Errors)
{
    public string Status => Batch.GetProperty("status").GetString()!;

    /// <summary>What is not as the file asked for; empty when all is.</summary>
    public IEnumerable<string> Faults(BatchFile file)
    {
        if (Status != "completed")
            yield return $"the batch is {Status}";
        var counts = Batch.GetProperty("request_counts");
        var told = (counts.GetProperty("total").GetInt32(), counts.GetProperty("completed").GetInt32(), counts.GetProperty("failed").GetInt32());
        if (told != (file.Lines, file.Answers.Count, file.Bad))
            yield return $"the batch counts {told} of {(file.Lines, file.Answers.Count, file.Bad)}";
        var answered = Output.GroupBy(l => l.GetProperty("custom_id").GetString()!).ToDictionary(g => g.Key, g => g.ToList());
        if (answered.Values.Count(l => l.Count > 1) is var twice and > 0)
            yield return $"{twice} requests answered twice";
        if (file.Answers.Keys.Count(id => !answered.ContainsKey(id)) is var lost and > 0)
            yield return $"{lost} requests lost";
        if (answered.Count(a => !file.Answers.TryGetValue(a.Key, out var text) || a.Value.Exists(l => TextOf(l) != text)) is var wrong and > 0)
            yield return $"{wrong} wrong answers";
        if (Errors.Count != file.Bad)
            yield return $"{Errors.Count} lines in the error file instead of {file.Bad}";
        if (!Output.Select(l => l.GetProperty("custom_id").GetString()!).SequenceEqual(file.Answers.Keys))
            yield return "the output is not in the order of the file";
    }

    /// <summary>The requests of the output, as the ledger knows them.</summary>
    public IEnumerable<Guid> RequestIds() => Output.Select(l => l.GetProperty("response").GetProperty("request_id").GetGuid());

    private static string? TextOf(JsonElement line)
    {
        var response = line.GetProperty("response");
        return response.GetProperty("status_code").GetInt32() == 200 && line.GetProperty("error").ValueKind == JsonValueKind.Null
            ? response.GetProperty("body").GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()
            : null;
    }
}

/// <summary>A batch as an application makes it: through the official OpenAI SDK, unmodified but for its base address.</summary>
internal sealed class BatchRun(Uri api, string key, TimeProvider time)
{
    private static readonly TimeSpan Glance = TimeSpan.FromMilliseconds(250);

    private readonly OpenAIClient _client = new(new ApiKeyCredential(key), new OpenAIClientOptions { Endpoint = new Uri(api, "/v1") });

    public OpenAIFileClient Files => _client.GetOpenAIFileClient();

    public BatchClient Batches => _client.GetBatchClient();

    public async Task<CreateBatchOperation> StartAsync(ReadOnlyMemory<byte> content, string endpoint, CancellationToken cancellationToken)
    {
        using var stream = new MemoryStream(content.ToArray());
        OpenAIFile file = await Files.UploadFileAsync(stream, "requests.jsonl", FileUploadPurpose.Batch, cancellationToken);
        var body = BinaryContent.Create(BinaryData.FromObjectAsJson(new { input_file_id = file.Id, endpoint, completion_window = "24h", metadata = new { of = "a test" } }));
        return await Batches.CreateBatchAsync(body, waitUntilCompleted: false, new RequestOptions { CancellationToken = cancellationToken });
    }

    public static async Task<JsonElement> StatusAsync(CreateBatchOperation operation, CancellationToken cancellationToken)
        => JsonElement.Parse((await operation.GetBatchAsync(new RequestOptions { CancellationToken = cancellationToken })).GetRawResponse().Content);

    /// <summary>Waits for the end and reads the files.</summary>
    /// <exception cref="TimeoutException">It was not over in time.</exception>
    public async Task<BatchOutcome> OutcomeAsync(CreateBatchOperation operation, TimeSpan limit, CancellationToken cancellationToken)
    {
        for (var started = time.GetTimestamp(); ;)
        {
            var batch = await StatusAsync(operation, cancellationToken);
            if (batch.GetProperty("status").GetString() is "completed" or "failed" or "expired" or "cancelled")
                return new BatchOutcome(batch, await LinesAsync(batch, "output_file_id", cancellationToken), await LinesAsync(batch, "error_file_id", cancellationToken));
            if (time.GetElapsedTime(started) > limit)
                throw new TimeoutException($"The batch was not over after {limit.TotalSeconds:0} s: {batch.GetRawText()}");
            await Task.Delay(Glance, time, cancellationToken);
        }
    }

    private async Task<IReadOnlyList<JsonElement>> LinesAsync(JsonElement batch, string field, CancellationToken cancellationToken)
    {
        if (batch.GetProperty(field).GetString() is not { } id)
            return [];
        var content = (await Files.DownloadFileAsync(id, cancellationToken)).Value;
        return [.. Encoding.UTF8.GetString(content).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonElement.Parse(l))];
    }
}
