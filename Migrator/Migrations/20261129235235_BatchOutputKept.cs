using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace AiAspire.Migrator.Migrations
{
    /// <inheritdoc />
    public partial class BatchOutputKept : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<TimeSpan>(
                name: "output_kept_for",
                schema: "aiaspire",
                table: "batches",
                type: "interval",
                nullable: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "output_kept_for",
                schema: "aiaspire",
                table: "batches");
        }
    }
}
