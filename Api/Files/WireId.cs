namespace AiAspire.Api.Files;

/// <summary>Ids in OpenAI's manner: a word for what it is, and our id as 32 hexadecimal digits.</summary>
internal static class WireId
{
    private const string FilePrefix = "file-";
    private const string BatchPrefix = "batch_";

    public static string OfFile(Guid id) => $"{FilePrefix}{id:N}";

    public static string OfBatch(Guid id) => $"{BatchPrefix}{id:N}";

    /// <summary>Null: it is no id of a file of ours.</summary>
    public static Guid? File(string? text) => Parse(text, FilePrefix);

    /// <summary>Null: it is no id of a batch of ours.</summary>
    public static Guid? Batch(string? text) => Parse(text, BatchPrefix);

    private static Guid? Parse(string? text, string prefix)
        => text is not null && text.StartsWith(prefix, StringComparison.Ordinal) && Guid.TryParseExact(text.AsSpan(prefix.Length), "N", out var id) ? id : null;
}
