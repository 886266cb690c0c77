using System.Text.Json;

namespace AiAspire.Evaluator.Targets;

/// <summary>
/// What a running AppHost leaves for other tools: <c>.aiaspire/run.json</c>,
/// <c>{"api":"http://127.0.0.1:PORT","developmentKey":"sk-dev-…"}</c>.
/// </summary>
internal sealed record RunFile(string Path, string Api, string? DevelopmentKey)
{
    private const string RelativePath = ".aiaspire/run.json";

    /// <summary>Looks in the folders and all their parents, the first folder first.</summary>
    /// <exception cref="TargetException">There is one, but it cannot be used.</exception>
    public static RunFile? Find(params ReadOnlySpan<string> startFolders)
    {
        foreach (var start in startFolders)
        {
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                var path = System.IO.Path.Combine(folder.FullName, RelativePath);
                if (File.Exists(path))
                    return Read(path);
            }
        }

        return null;
    }

    private static RunFile Read(string path)
    {
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllText(path));
            if (json.RootElement.ValueKind == JsonValueKind.Object && Text(json.RootElement, "api") is { } api)
                return new RunFile(path, api, Text(json.RootElement, "developmentKey"));
        }
        catch (Exception problem) when (problem is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new TargetException(
                $"The run file {path} cannot be read ({problem.Message}); start the application again, or name a target with --url.", problem);
        }

        throw new TargetException($"The run file {path} names no 'api'; start the application again, or name a target with --url.");

        static string? Text(JsonElement json, string name) =>
            json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
    }
}
