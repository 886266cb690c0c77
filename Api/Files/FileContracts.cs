using System.ComponentModel;
using AiAspire.Core.Files;

namespace AiAspire.Api.Files;

/// <summary>The form as the OpenAPI document shows it; the endpoint reads it as it comes, without holding the file.</summary>
public sealed record UploadFileRequest(
    [property: Description("The content; for a batch JSON Lines, one request on each line.")] IFormFile File,
    [property: Description("`batch`.")] string Purpose);

/// <summary>OpenAI's file object.</summary>
/// <param name="Object"><c>file</c>.</param>
/// <param name="CreatedAt">Unix seconds.</param>
/// <param name="ExpiresAt">Unix seconds; then it is deleted.</param>
/// <param name="Purpose"><c>batch</c> or <c>batch_output</c>.</param>
/// <param name="Status"><c>processed</c>.</param>
/// <param name="StatusDetails">Always null.</param>
public sealed record FileResponse(
    string Id, string Object, long Bytes, long CreatedAt, long ExpiresAt, string Filename, string Purpose, string Status, string? StatusDetails)
{
    internal static FileResponse Of(FileView file) => new(
        WireId.OfFile(file.FileId), "file", file.Bytes, file.CreatedAt.ToUnixTimeSeconds(), file.ExpiresAt.ToUnixTimeSeconds(), file.Name, file.Purpose, "processed", null);
}

/// <param name="HasMore">Ask again with <c>after</c> set to the last id.</param>
public sealed record PageResponse<T>(string Object, IReadOnlyList<T> Data, string? FirstId, string? LastId, bool HasMore);

public sealed record DeletedFileResponse(string Id, string Object, bool Deleted);
