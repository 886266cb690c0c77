using System.ComponentModel.DataAnnotations;

namespace AiAspire.Core.Files;

/// <summary>Section <c>Files</c>.</summary>
public sealed class FileStorageOptions
{
    public const string Section = "Files";

    /// <summary>Bytes of one file. Default 200 MiB, as OpenAI takes for a batch.</summary>
    [Range(1024, 4L << 30)]
    public long MaxBytes { get; init; } = 200L << 20;

    /// <summary>Bytes of all files of one user. Default 5 GiB.</summary>
    [Range(1024, 1L << 50)]
    public long MaxUserBytes { get; init; } = 5L << 30;

    /// <summary>Days for which a file is kept that asks for no shorter time; never longer than its tenant's retention. Default 30.</summary>
    [Range(1, 3650)]
    public int KeepDays { get; init; } = 30;
}
