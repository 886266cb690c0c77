using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using AiAspire.Core.Data;
using AiAspire.Core.Files;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;

namespace AiAspire.Api.Files;

/// <summary>An upload that has come in whole and is not a file yet.</summary>
/// <param name="Writer">Seals or discards it.</param>
/// <param name="Name">The file's name.</param>
/// <param name="KeptFor">The shorter time that was asked for; null: none.</param>
/// <param name="Digest">SHA-256 of all that was sent: tells a repeat from another upload.</param>
internal sealed record ReceivedFile(FileWriter Writer, string Name, TimeSpan? KeptFor, byte[] Digest);

/// <summary>
/// Reads an upload (multipart/form-data, RFC 7578) as it comes: <c>file</c>, <c>purpose</c>, and <c>expires_after[anchor]</c> with
/// <c>expires_after[seconds]</c>, in any order. The content goes to its place piece by piece.
/// </summary>
internal sealed class FileForm(FileStore files, IOptions<FileStorageOptions> options)
{
    /// <summary>Told to who sends something else.</summary>
    public const string Wanted = "Send a form with Content-Type: multipart/form-data, with the parts 'file' and 'purpose'.";

    private const int MaxFieldBytes = 4096;
    private const int MaxNameLength = 255;
    private const int MaxFields = 16;
    private const int ReadBytes = 64 * 1024;

    /// <exception cref="WireException">400, 413 or 415: nothing is kept.</exception>
    public async Task<ReceivedFile> ReadAsync(HttpRequest request, TenantSession session, CancellationToken cancellationToken)
    {
        var reader = new MultipartReader(BoundaryOf(request), request.Body) { HeadersCountLimit = 8, HeadersLengthLimit = 8192 };
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        FileWriter? writer = null;
        var name = "";
        try
        {
            while (await NextAsync(reader, cancellationToken) is { } section)
            {
                if (!ContentDispositionHeaderValue.TryParse(section.ContentDisposition, out var disposition) || HeaderUtilities.RemoveQuotes(disposition.Name).Value is not { Length: > 0 } field)
                    throw Invalid("A part of the form has no name.", null);
                if (field == "file" && writer is null)
                {
                    name = NameOf(disposition);
                    writer = await BeginAsync(session, name, cancellationToken);
                    await CopyAsync(section.Body, writer, digest, cancellationToken);
                }
                else if (field == "file" || fields.Count == MaxFields || !fields.TryAdd(field, await TextAsync(section.Body, field, cancellationToken)))
                {
                    throw Invalid($"'{field}' was sent more than once, or the form has more fields than an upload needs.", field);
                }
            }

            if (writer is null)
                throw WireException.BadRequest("'file' is missing: send the content as a part of the form that has a filename.", "file", "missing_required_parameter");
            var keptFor = Check(fields);
            if (writer.Bytes == 0)
                throw WireException.BadRequest("The file is empty.", "file", "empty_file");
            await writer.CompleteAsync(cancellationToken);
            digest.AppendData(Encoding.UTF8.GetBytes($"\n{name}\n{keptFor?.TotalSeconds.ToString(CultureInfo.InvariantCulture)}"));
            return new ReceivedFile(writer, name, keptFor, digest.GetHashAndReset());
        }
        catch
        {
            if (writer is not null)
                await writer.DiscardAsync(CancellationToken.None);
            throw;
        }
    }

    private static string BoundaryOf(HttpRequest request)
    {
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || !type.MediaType.Equals("multipart/form-data", StringComparison.OrdinalIgnoreCase))
            throw new WireException(415, "invalid_request_error", "unsupported_media_type", Wanted);
        return HeaderUtilities.RemoveQuotes(type.Boundary).Value is { Length: > 0 and <= 200 } boundary ? boundary : throw Invalid("The form's Content-Type names no boundary.", null);
    }

    private async Task<FileWriter> BeginAsync(TenantSession session, string name, CancellationToken cancellationToken)
    {
        // Before anything is written; whether there is room for all of it is known, and decided, when it is sealed.
        if (await FileStore.UsedBytesAsync(session, cancellationToken) >= options.Value.MaxUserBytes)
            throw FileWriter.StorageFull(options.Value.MaxUserBytes);
        return await files.BeginAsync(session, name, FilePurposes.Batch, options.Value.MaxBytes, cancellationToken);
    }

    private static async Task CopyAsync(Stream body, FileWriter writer, IncrementalHash digest, CancellationToken cancellationToken)
    {
        var buffer = new byte[ReadBytes];
        for (int read; (read = await FilledAsync(() => body.ReadAsync(buffer, cancellationToken))) > 0;)
        {
            digest.AppendData(buffer.AsSpan(0, read));
            await writer.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
        }
    }

    private static async Task<string> TextAsync(Stream body, string field, CancellationToken cancellationToken)
    {
        var buffer = new byte[MaxFieldBytes + 1];
        var read = await FilledAsync(async () => await body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken));
        return read <= MaxFieldBytes ? Encoding.UTF8.GetString(buffer, 0, read) : throw Invalid($"'{field}' is longer than {MaxFieldBytes} bytes.", field);
    }

    private static async Task<MultipartSection?> NextAsync(MultipartReader reader, CancellationToken cancellationToken)
    {
        try
        {
            return await reader.ReadNextSectionAsync(cancellationToken);
        }
        catch (Exception e) when (e is InvalidDataException or IOException and not BadHttpRequestException)
        {
            throw Invalid($"The form could not be read: {e.Message}", null);
        }
    }

    /// <summary>A form that ends in the middle is the sender's fault.</summary>
    private static async ValueTask<int> FilledAsync(Func<ValueTask<int>> read)
    {
        try
        {
            return await read();
        }
        catch (Exception e) when (e is InvalidDataException or IOException and not BadHttpRequestException)
        {
            throw Invalid($"The form could not be read: {e.Message}", null);
        }
    }

    private static string NameOf(ContentDispositionHeaderValue disposition)
    {
        var sent = disposition.FileNameStar.HasValue ? disposition.FileNameStar : HeaderUtilities.RemoveQuotes(disposition.FileName);
        // Some send a path; what they see is its end.
        var name = sent.Value is { } text ? text[(text.LastIndexOfAny(['/', '\\']) + 1)..].Trim() : "";
        return name.Length is > 0 and <= MaxNameLength && !name.Any(char.IsControl)
            ? name
            : throw Invalid($"The part 'file' needs a filename of 1 to {MaxNameLength} characters, without control characters.", "file");
    }

    private static TimeSpan? Check(Dictionary<string, string> fields)
    {
        if (!fields.TryGetValue("purpose", out var purpose))
            throw WireException.BadRequest("'purpose' is missing: use batch.", "purpose", "missing_required_parameter");
        if (purpose != FilePurposes.Batch)
            throw Invalid($"'{purpose}' is not a purpose that files are taken for: use batch.", "purpose");
        var (anchor, seconds) = (fields.GetValueOrDefault("expires_after[anchor]"), fields.GetValueOrDefault("expires_after[seconds]"));
        if (anchor is null && seconds is null)
            return null;
        return ExpiresAfter.Check(
            anchor, int.TryParse(seconds, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null, "expires_after[anchor]", "expires_after[seconds]");
    }

    private static WireException Invalid(string message, string? field) => WireException.BadRequest(message, field, "invalid_value");
}
